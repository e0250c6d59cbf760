//! A conversation as models take it: roles that alternate, and files as text or pictures.
//!
//! Chat templates of many models refuse two messages of one role in a row, and endpoints refuse
//! empty ones. Both are left behind by turns that failed without a word.

use scrollback_schema::event::Attachment;

use super::{Past, Role};

/// What one side said before the other side spoke again.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    /// Who.
    pub(super) role: Role,
    /// What, with files named that are not sent.
    pub(super) text: String,
    /// Images that are sent.
    pub(super) pictures: Vec<Picture>,
}

/// An image by its address: `https:`, `http:` or `data:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// Its media type.
    pub(super) media_type: String,
    /// Where it is, or what it is.
    pub(super) url: String,
}

/// Joins what belongs together and leaves out what is empty.
pub(super) fn turns_of(history: &[Past], send_images: bool) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    for past in history {
        let (text, pictures) = content(past, send_images);
        if text.trim().is_empty() && pictures.is_empty() {
            continue;
        }
        match turns.last_mut() {
            Some(last) if last.role == past.role => {
                if !last.text.is_empty() && !text.is_empty() {
                    last.text.push_str("\n\n");
                }
                last.text.push_str(&text);
                last.pictures.extend(pictures);
            }
            _ => turns.push(Turn { role: past.role, text, pictures }),
        }
    }
    turns
}

fn content(past: &Past, send_images: bool) -> (String, Vec<Picture>) {
    let mut text = past.text.clone();
    let mut pictures = Vec::new();
    for file in &past.attachments {
        if send_images && is_picture(file) {
            let (media_type, url) = (file.media_type.clone(), file.url.clone());
            pictures.push(Picture { media_type, url });
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("[attached file: {}, {}]", file.name, file.media_type));
    }
    (text, pictures)
}

fn is_picture(file: &Attachment) -> bool {
    let can_be_fetched = ["https:", "http:", "data:"].iter().any(|it| file.url.starts_with(it));
    file.media_type.starts_with("image/") && can_be_fetched
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(role: Role, text: &str, files: &[(&str, &str)]) -> Past {
        let attachments = files.iter().map(|(media_type, url)| Attachment {
            id: "f".to_owned(),
            name: "n".to_owned(),
            media_type: (*media_type).to_owned(),
            url: (*url).to_owned(),
            size_bytes: 1,
        });
        Past { role, text: text.to_owned(), attachments: attachments.collect() }
    }

    #[test]
    fn roles_alternate_and_nothing_is_empty() {
        let history = [
            past(Role::User, "a", &[]),
            past(Role::Assistant, " \n", &[]),
            past(Role::User, "b", &[]),
            past(Role::Assistant, "c", &[]),
        ];
        let said: Vec<String> = turns_of(&history, true).into_iter().map(|t| t.text).collect();
        assert_eq!(said, ["a\n\nb", "c"]);
    }

    #[test]
    fn a_file_is_a_picture_or_named() {
        let files = [("image/png", "data:image/png;base64,AA"), ("image/png", "/x"), ("a/b", "")];
        let history = [past(Role::User, "see", &files)];
        let turns = turns_of(&history, true);
        assert_eq!(turns[0].text, "see\n[attached file: n, image/png]\n[attached file: n, a/b]");
        assert_eq!(turns[0].pictures.len(), 1);
        assert_eq!(turns_of(&history, false)[0].pictures, []);
    }
}
