//! Bending JSON: what senders do to orders, as edits that can be drawn at random. Shared with the fuzz targets.

use serde_json::{Value, json};

/// One way to bend a value.
#[derive(Clone, Debug)]
pub enum Bend {
    /// Gone.
    Drop,
    /// Something else.
    Become(Value),
    /// A number as text, a text as a number.
    Respell,
    /// The other sign.
    Negate,
    /// A little more or less.
    Nudge(i8),
    /// Twice in its list, or wrapped into one.
    Double,
    /// A list as a map, a map as a list.
    Reshape,
    /// The value from another place of the order.
    Take(usize),
}

/// Values that something trips over somewhere.
pub fn odd_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!({}),
        json!([]),
        json!([[]]),
        json!(true),
        json!(false),
        json!(""),
        json!(" "),
        json!("0"),
        json!(0),
        json!(-1),
        json!(1),
        json!(0.005),
        json!("1e3"),
        json!("1e400"),
        json!(1e300),
        json!("99999999999999999999999999999"),
        json!(i64::MIN),
        json!(u64::MAX),
        json!("NaN"),
        json!("x\u{0}\u{202e}\u{1f600}"),
        json!("bundle"),
        json!("configurable"),
        json!("JPY"),
        json!("KWD"),
    ]
}

/// Every place of a value as a JSON pointer, the root left out.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => return,
    };
    for (name, child) in children {
        let path = format!("{here}/{}", name.replace('~', "~0").replace('/', "~1"));
        places(child, &path, found);
        found.push(path);
    }
}

/// Bends one place of an order; `place` is any number.
pub fn apply(order: &mut Value, place: usize, bend: &Bend) {
    let mut all = Vec::new();
    places(order, "", &mut all);
    if all.is_empty() {
        return;
    }
    let path = all[place % all.len()].clone();
    if let Bend::Take(other) = bend {
        let taken = order.pointer(&all[other % all.len()]).cloned().unwrap_or_default();
        *order.pointer_mut(&path).unwrap() = taken;
        return;
    }
    let (parent, name) = path.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    match (bend, order.pointer_mut(parent).unwrap()) {
        (Bend::Drop, Value::Object(members)) => drop(members.remove(&name)),
        (Bend::Drop, Value::Array(items)) => drop(items.remove(name.parse().unwrap())),
        (Bend::Double, Value::Array(items)) => {
            let index: usize = name.parse().unwrap();
            items.insert(index, items[index].clone());
        }
        _ => {
            let value = order.pointer_mut(&path).unwrap();
            *value = bent(value, bend);
        }
    }
}

fn bent(value: &Value, bend: &Bend) -> Value {
    let number = || value.as_f64().or_else(|| value.as_str()?.parse().ok());
    match (bend, value) {
        (Bend::Become(other), _) => other.clone(),
        (Bend::Respell, Value::Number(number)) => json!(number.to_string()),
        (Bend::Respell, Value::String(text)) => serde_json::from_str(text).unwrap_or(json!(1)),
        (Bend::Negate, _) => number().map_or(Value::Null, |number| json!(-number)),
        (Bend::Nudge(by), _) => number().map_or(json!(by), |number| json!(number + f64::from(*by) / 100.0)),
        (Bend::Reshape, Value::Array(items)) => {
            items.iter().enumerate().map(|(index, item)| (index.to_string(), item.clone())).collect()
        }
        (Bend::Reshape, Value::Object(members)) => members.values().cloned().collect(),
        (Bend::Double | Bend::Reshape | Bend::Respell | Bend::Drop | Bend::Take(_), other) => json!([other]),
    }
}
