use super::*;
use crate::engines::ContextLength;
use crate::engines::transformers::flag;
use crate::units::Bytes;

#[test]
fn a_usual_transformers_script() {
    let reading = read_script(
        r#"
"""AutoModelForCausalLM.from_pretrained("not/this") in a docstring"""
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

model_id = "Qwen/Qwen1.5-14B-Chat"  # LLM("nor this")
tokenizer = AutoTokenizer.from_pretrained(model_id)
model = AutoModelForCausalLM.from_pretrained(
    model_id,
    torch_dtype=torch.float16,
    device_map="auto",
    max_memory={i: "20GiB" for i in range(2)},
    trust_remote_code=True,
    attn_implementation='flash_attention_2',
    cache_dir=os.environ["HOME"],
    offload_index=compute(),
)
model.to("cuda")
ids = tokenizer(text, return_tensors="pt").to("cuda")
out = model.generate(**ids, max_new_tokens=1_024, do_sample=True)
"#,
    )
    .unwrap();
    assert_eq!((reading.engine, reading.model.as_str(), reading.line), ("transformers", "Qwen/Qwen1.5-14B-Chat", 8));
    let settings = reading.settings;
    assert_eq!(settings.dtype.as_deref(), Some("float16"));
    assert_eq!(settings.device_map.as_deref(), Some("auto"));
    let caps = settings.max_memory.unwrap();
    assert_eq!(
        caps.into_iter().collect::<Vec<_>>(),
        [("0".to_owned(), Bytes::gib(20)), ("1".to_owned(), Bytes::gib(20))]
    );
    let flags = &settings.engine_flags;
    assert_eq!(flags[flag::ATTENTION], "flash_attention_2");
    assert_eq!(flags[flag::TO_DEVICE], "cuda");
    assert_eq!(flags[flag::NEW_TOKENS], "1024");
    assert_eq!(reading.notes, ["line 8: `offload_index` is computed (`compute()`) and taken as not set"]);
}

#[test]
fn maps_devices_and_quantisation() {
    let settings = |arguments: &str| {
        read_script(&format!("m = AutoModelForCausalLM.from_pretrained('a/b', {arguments})")).unwrap().settings
    };
    let map = settings(r#"device_map={"model.embed_tokens": 0, "model.layers": "cuda:1", 'lm_head': 1}"#);
    assert_eq!(map.device_map.as_deref(), Some(r#"{"model.embed_tokens":0,"model.layers":"cuda:1","lm_head":1}"#));
    assert_eq!(settings("device_map=1").device_map.as_deref(), Some("1"));
    assert_eq!(settings("device_map=torch.device('cuda', 2)").device_map.as_deref(), Some("cuda:2"));
    assert_eq!(settings("device_map={'': 0}").device_map.as_deref(), Some(r#"{"":0}"#));
    assert_eq!(settings("device_map=None, dtype='auto'").device_map, None);
    let bits = settings(
        "quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.bfloat16, \
         bnb_4bit_use_double_quant=True)",
    );
    assert_eq!(
        (bits.engine_flags[flag::LOAD_IN_4BIT].as_str(), bits.engine_flags[flag::DOUBLE_QUANT].as_str()),
        ("true", "true")
    );
    let gptq = settings("quantization_config=GPTQConfig(bits=4, exllama_config={'version': 2})");
    assert_eq!(gptq.engine_flags[flag::EXLLAMA], "2");
    let sizes = settings("max_memory={0: 8 * 1024**3, 'cpu': '30GB'}").max_memory.unwrap();
    assert_eq!((sizes["0"], sizes["cpu"]), (Bytes::gib(8), Bytes(30_000_000_000)));
    // A config bound to a name.
    let named = read_script(
        "bnb = BitsAndBytesConfig(load_in_8bit=True)\n\
         m = LlamaForCausalLM.from_pretrained('a/b', quantization_config=bnb, revision='v2').eval()\n",
    )
    .unwrap();
    assert_eq!(named.model, "a/b@v2");
    assert_eq!(named.settings.engine_flags[flag::LOAD_IN_8BIT], "true");
}

#[test]
fn without_a_map_a_move_is_the_place() {
    for (script, map) in [
        ("m = AutoModel.from_pretrained('a/b').to('cuda:1')", Some("cuda:1")),
        ("m = AutoModel.from_pretrained('a/b').cuda()", Some("cuda")),
        ("m = AutoModel.from_pretrained('a/b')\nm.cuda(2)", Some("2")),
        ("m = AutoModel.from_pretrained('a/b')\nm.to(torch.float16)\nx.to('cuda')", None),
        ("m = AutoModel.from_pretrained('a/b').half().to('cuda')", None),
    ] {
        let settings = read_script(script).unwrap().settings;
        assert_eq!(settings.device_map.as_deref(), map, "{script}");
        assert!(!settings.engine_flags.contains_key(flag::TO_DEVICE), "{script}");
    }
}

#[test]
fn a_vllm_script() {
    let reading = read_script(
        r#"
from vllm import LLM, SamplingParams
tp = int(os.environ["TP"])
llm = LLM(
    "Qwen/Qwen2.5-72B-Instruct-AWQ",
    tensor_parallel_size=4,
    gpu_memory_utilization=.92, max_model_len=16 * 1024,
    enforce_eager=True, quantization=None,
    pipeline_parallel_size=tp,
    limit_mm_per_prompt={"image": 2},
    no_such_flag=1,
)
"#,
    )
    .unwrap();
    assert_eq!((reading.engine, reading.model.as_str(), reading.line), ("vllm", "Qwen/Qwen2.5-72B-Instruct-AWQ", 4));
    let settings = reading.settings;
    assert_eq!(settings.tensor_parallel, Some(4));
    assert_eq!(settings.memory_fraction.map(|f| (f.get() * 100.0).round()), Some(92.0));
    assert_eq!(settings.max_model_len, ContextLength::Tokens(16384));
    assert_eq!((settings.enforce_eager, settings.pipeline_parallel), (Some(true), None));
    assert_eq!(settings.engine_flags["limit-mm-per-prompt"], r#"{"image":2}"#);
    assert_eq!(reading.notes.len(), 2, "{:?}", reading.notes);
    assert_eq!(reading.notes[0], "line 4: `pipeline_parallel_size` is computed (`tp`) and taken as not set");
    assert!(reading.notes[1].contains("no_such_flag"), "{:?}", reading.notes);
}

#[test]
fn several_models_and_none() {
    let two = read_script("a = LLM(model='a/b')\nb = LLM(model='c/d')").unwrap();
    assert_eq!(two.model, "a/b");
    assert_eq!(two.notes, ["line 2: `LLM` loads another model, which is not planned for"]);
    assert!(matches!(read_script("import vllm\nclass LLM(Base):\n  pass"), Err(ScriptError::NoCall)));
    assert!(matches!(read_script("t = AutoTokenizer.from_pretrained('a/b')"), Err(ScriptError::NoCall)));
    let error = read_script("m = AutoModel.from_pretrained(args.model)").unwrap_err();
    assert_eq!(error.to_string(), "line 1: the model of `AutoModel.from_pretrained` is no literal: `args.model`");
    let error = read_script("m = LLM(f'{org}/name')").unwrap_err();
    assert!(matches!(error, ScriptError::ModelNotLiteral { .. }), "{error}");
    assert!(matches!(read_script("m = LLM()"), Err(ScriptError::NoModel { .. })));
    // A name bound twice is computed.
    let error = read_script("n = 'a/b'\nn = 'c/d'\nm = LLM(n)").unwrap_err();
    assert!(matches!(error, ScriptError::ModelNotLiteral { .. }), "{error}");
    let error = read_script("m = AutoModel.from_pretrained('a/b', max_memory={0: '20 cups'})").unwrap_err();
    assert!(error.to_string().contains("`20 cups` is no size"), "{error}");
}

#[test]
fn broken_scripts_are_no_danger() {
    let deep = format!("m = LLM('a/b', x={})", "[".repeat(100_000));
    let chain: String = (0..5000).map(|i| format!("a{i} = a{}\n", i + 1)).collect::<String>() + "LLM(a0)";
    let lists: String =
        (0..64).map(|i| format!("a{i} = [a{0}, a{0}]\n", i + 1)).collect::<String>() + "LLM('a/b', y=a0)";
    for script in [
        "",
        "LLM(",
        "LLM('a",
        "x = '''",
        "LLM('a/b', tensor_parallel_size=)",
        "LLM('a/b', =4)",
        "LLM('a/b', **kwargs, *more)",
        "\\",
        "LLM('a\\",
        "a = a\nLLM(a)",
        "LLM('a/b', x={1: 2 for})",
        "LLM('a/b', x={i: 1 for i in range(99999999999)})",
        "AutoModel.from_pretrained('a/b', max_memory={0: 9 ** 99})",
        "é = LLM('ü/ö')",
        &deep,
        &chain,
        &lists,
    ] {
        let _ = read_script(script);
    }
}
