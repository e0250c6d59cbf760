//! A file under the rules: its path, its text, and its Rust code without comments and literals.

/// A text file of the tree.
pub(super) struct SourceFile {
    /// Path from the repository's root, with `/`.
    pub(super) path: String,
    /// Everything in it.
    pub(super) text: String,
}

impl SourceFile {
    pub(super) fn new(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.to_owned() }
    }

    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether a person wrote it as a program.
    pub(super) fn is_code(&self) -> bool {
        let code = [".rs", ".sql", ".py", ".mjs", ".js", ".html", ".css", "/run"];
        code.iter().any(|end| self.path.ends_with(end))
    }

    /// Whether it is compiled into a test or bench target only.
    pub(super) fn is_test_target(&self) -> bool {
        ["tests/", "benches/", "schema/tests/", "projections/tests/"]
            .iter()
            .any(|dir| self.path.starts_with(dir))
    }

    /// The last part of the path, without its ending.
    pub(super) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().expect("a split has a last part");
        name.split('.').next().expect("a split has a first part")
    }

    /// Numbered lines of the code: comments, texts and characters are blank.
    pub(super) fn code_lines(&self) -> Vec<(usize, String)> {
        let code = blank_literals(&self.text);
        code.lines().enumerate().map(|(i, line)| (i + 1, line.to_owned())).collect()
    }
}

/// Whether `code` has `word` with no letter, digit or underscore right before or after it.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back().is_some_and(is_part);
        let after = code[at + word.len()..].chars().next().is_some_and(is_part);
        let (starts, ends) = (word.starts_with(is_part), word.ends_with(is_part));
        !(before && starts || after && ends)
    })
}

/// Replaces comments and literals by spaces, and keeps every line break.
fn blank_literals(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        let n_skipped = literal_len(rest);
        let (skipped, next) = rest.split_at(n_skipped.unwrap_or(first.len_utf8()));
        if n_skipped.is_some() {
            out.extend(skipped.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push(first);
        }
        rest = next;
    }
    out
}

/// Bytes of the comment or literal that `text` starts with, if it does.
fn literal_len(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(text.find("*/").map_or(text.len(), |at| at + 2));
    }
    if text.starts_with("r\"") || text.starts_with("r#") {
        let hashes = text[1..].bytes().take_while(|&b| b == b'#').count();
        let body = text[1 + hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let len = body.find(&end).unwrap_or(body.len() - end.len());
        return Some(2 + hashes + len + end.len());
    }
    match text.as_bytes()[0] {
        b'"' => Some(quoted_len(text, '"')),
        // A character, not a lifetime: closed within a few bytes.
        b'\'' if text.starts_with("'\\") || text.chars().nth(2) == Some('\'') => {
            Some(quoted_len(text, '\''))
        }
        _ => None,
    }
}

fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[test]
fn comments_and_literals_are_no_code() {
    let text = "let a = \"b // \\\" c\"; // d\nf('\\''); g::<'x>('\"'); r#\"h\"# /* i\nj */ k";
    let code = blank_literals(text);
    for word in ["let", "a", "f", "g", "'x", "k"] {
        assert!(has_word(&code, word), "{word} in {code}");
    }
    for word in ["b", "c", "d", "h", "i", "j"] {
        assert!(!has_word(&code, word), "{word} in {code}");
    }
    assert_eq!(code.lines().count(), 3);
}

#[test]
fn a_word_stands_alone() {
    assert!(has_word("std::env::var(x)", "env::var"));
    assert!(!has_word("std::env::var_os(x)", "env::var"));
    assert!(!has_word("my_env::var(x)", "env::var"));
    assert!(has_word("todo!()", "todo!"));
}
