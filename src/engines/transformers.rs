//! Hugging Face Transformers.
