//! A report against its JSON Schema, as far as schemars writes one: stricter than the standard in that a field that the schema does not
//! name is a fault.

use serde_json::Value;

/// What of `value` the schema does not allow.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, value, "$", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    if let Some(path) = schema["$ref"].as_str() {
        let target = root.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("`{path}` leads nowhere"));
        check(root, target, value, place, found);
    }
    if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        let fits = |choice: &Value| {
            let mut inner = Vec::new();
            check(root, choice, value, place, &mut inner);
            inner.is_empty()
        };
        if !choices.iter().any(fits) {
            found.push(format!("{place}: {value} is none of the {} choices", choices.len()));
        }
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        found.push(format!("{place}: {value} is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        found.push(format!("{place}: {value} is not one of {}", schema["enum"]));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| is(name, value)) {
        found.push(format!("{place}: {value} is no {}", types.join(" or ")));
    }
    if let (Some(least), Some(number)) = (schema["minimum"].as_f64(), value.as_f64())
        && number < least
    {
        found.push(format!("{place}: {number} is below {least}"));
    }
    if let Some(items) = value.as_array().filter(|_| schema["items"].is_object()) {
        for (i, item) in items.iter().enumerate() {
            check(root, &schema["items"], item, &format!("{place}[{i}]"), found);
        }
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                found.push(format!("{place}: `{name}` is missing"));
            }
        }
        let Some(known) = schema["properties"].as_object() else {
            if schema["additionalProperties"].is_object() {
                for (name, field) in fields {
                    check(root, &schema["additionalProperties"], field, &format!("{place}.{name}"), found);
                }
            }
            return;
        };
        for (name, field) in fields {
            match known.get(name) {
                Some(schema) => check(root, schema, field, &format!("{place}.{name}"), found),
                // `true`: the engine's own knobs.
                None if schema["additionalProperties"] == true => {}
                None => found.push(format!("{place}: `{name}` is not in the schema")),
            }
        }
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        _ => false,
    }
}

#[test]
fn faults_are_found() {
    let schema = serde_json::json!({
        "type": "object",
        "properties": {
            "count": { "type": ["integer", "null"], "minimum": 0 },
            "parts": { "type": "array", "items": { "$ref": "#/$defs/Part" } },
            "state": { "oneOf": [{ "const": "a" }, { "const": "b" }] },
        },
        "required": ["count"],
        "$defs": { "Part": { "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] } },
    });
    let faults = |text: &str| faults(&schema, &serde_json::from_str(text).unwrap()).len();
    assert_eq!(faults(r#"{"count": 1, "parts": [{"name": "x"}], "state": "b"}"#), 0);
    assert_eq!(faults(r#"{"count": null}"#), 0);
    for wrong in [
        "[]",
        "{}",
        r#"{"count": -1}"#,
        r#"{"count": 1.5}"#,
        r#"{"count": 1, "colour": 2}"#,
        r#"{"count": 1, "state": "c"}"#,
        r#"{"count": 1, "parts": [{}]}"#,
        r#"{"count": 1, "parts": [{"name": 1}]}"#,
    ] {
        assert_eq!(faults(wrong), 1, "{wrong}");
    }
}
