//! Names of the model and what the server called the same things.
//!
//! A name that begins with `~` stands for whatever the server says where it is seen first, and for
//! nothing else from then on.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::op::Call;

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    real: HashMap<String, String>,
    taken: BTreeSet<String>,
}

impl Names {
    /// What the server calls it; anything that is no name of the model is as it is.
    pub(super) fn real<'a>(&'a self, name: &'a str) -> &'a str {
        self.real.get(name).map_or(name, String::as_str)
    }

    /// A path with every name exchanged.
    pub(super) fn path(&self, path: &str) -> String {
        path.split('/').map(|part| self.real(part)).collect::<Vec<_>>().join("/")
    }

    /// Whether every name of a call is known.
    pub(super) fn know(&self, call: &Call) -> bool {
        let is_known = |text: &str| !text.starts_with('~') || self.real.contains_key(text);
        call.path.split('/').all(is_known) && all_texts(&call.body, &is_known)
    }

    /// JSON with every name exchanged.
    pub(super) fn json(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::from(self.real(text)),
            Value::Array(items) => items.iter().map(|item| self.json(item)).collect(),
            Value::Object(fields) => {
                let named = fields.iter().map(|(name, value)| (name.clone(), self.json(value)));
                Value::Object(named.collect::<Map<_, _>>())
            }
            other => other.clone(),
        }
    }

    /// Compares what was expected with what came, and learns names from it.
    ///
    /// # Errors
    ///
    /// Where the first difference is.
    pub(super) fn learn(&mut self, expected: &Value, came: &Value) -> Result<(), String> {
        self.same(expected, came)
            .map_err(|at| format!("{at}\nexpected {expected}\ncame     {came}"))
    }

    fn same(&mut self, expected: &Value, came: &Value) -> Result<(), String> {
        match (expected, came) {
            (Value::String(name), Value::String(real)) if name.starts_with('~') => {
                self.same_name(name, real)
            }
            (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => Ok(()),
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                let mut both = a.iter().zip(b).enumerate();
                both.try_for_each(|(at, (a, b))| {
                    self.same(a, b).map_err(|deeper| format!("[{at}]{deeper}"))
                })
            }
            (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
                let mut both = a.iter().zip(b.values());
                both.try_for_each(|((name, a), b)| {
                    self.same(a, b).map_err(|deeper| format!(".{name}{deeper}"))
                })
            }
            (a, b) if a == b => Ok(()),
            (a, b) => Err(format!(": {a} is not {b}")),
        }
    }

    fn same_name(&mut self, name: &str, real: &str) -> Result<(), String> {
        match self.real.get(name) {
            Some(known) if known == real => Ok(()),
            Some(known) => Err(format!(": {name} was {known} and is {real}")),
            None if !self.taken.insert(real.to_owned()) => {
                Err(format!(": {name} is {real}, which is something else"))
            }
            None => {
                self.real.insert(name.to_owned(), real.to_owned());
                Ok(())
            }
        }
    }
}

fn all_texts(value: &Value, is_so: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_so(text),
        Value::Array(items) => items.iter().all(|item| all_texts(item, is_so)),
        Value::Object(fields) => fields.values().all(|field| all_texts(field, is_so)),
        _ => true,
    }
}
