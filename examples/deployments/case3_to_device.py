"""Loads a 14-billion model over four cards, and then moves all of it to the first one."""
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("Qwen/Qwen1.5-14B-Chat", device_map="auto", torch_dtype="auto").to("cuda:0")
