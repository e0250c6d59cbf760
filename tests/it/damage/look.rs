//! What is said of a damaged directory: what is wrong, or that nothing is; and whether it is true.

use std::ops::ControlFlow;
use std::path::Path;

use scrollback::log::PageLimits;
use scrollback::log::offline::{OfflineError, OfflineLog};
use scrollback::log::verify::{Progress, ReadablePages, WholePages, verify};
use scrollback_schema::{Seq, wire};

use super::image::Image;

/// What became of one damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// `verify` names it. After a close look: what can be read says what was written, and so many
    /// events cannot be read.
    Found { n_left_out: Option<usize> },
    /// The file is not opened: it is said which, and what to do.
    Refused,
    /// Every event reads as it was written, and the head is the same.
    Harmless,
}

/// Verifies a directory and reads it, also around what is damaged if the look is a close one; an
/// error is a promise that was broken.
pub(super) fn look(dir: &Path, image: &Image, is_close: bool) -> Result<Said, String> {
    let mut findings = Vec::new();
    let verified = verify(dir, &mut |progress| {
        if let Progress::Found(finding) = progress {
            let is_of_the_file = matches!(finding.code(), "truncated" | "definition" | "sqlite");
            if finding.span().is_none() && !is_of_the_file {
                findings.clear();
                return ControlFlow::Break(());
            }
            findings.push(finding.to_string());
        }
        ControlFlow::Continue(())
    });
    match verified {
        Err(error @ (OfflineError::Foreign { .. } | OfflineError::Open(_))) => {
            let words = error.to_string();
            if words.contains("log.db") { Ok(Said::Refused) } else { Err(words) }
        }
        Err(error) => Err(format!("verify ended with {error:?}")),
        Ok(report) if report.n_findings != findings.len() as u64 => {
            Err("a finding says not where it is".to_owned())
        }
        Ok(report) if report.n_findings > 0 && !is_close => Ok(Said::Found { n_left_out: None }),
        Ok(report) if report.n_findings > 0 => {
            saved(dir, image).map_err(|wrong| format!("{findings:?}: {wrong}"))
        }
        Ok(report) => match whole(dir, report.head) {
            Ok(lines) if lines == image.lines => Ok(Said::Harmless),
            Ok(lines) => Err(format!("in silence, {} lines are other ones", lines.len())),
            Err(error) => Err(format!("in silence, {error}")),
        },
    }
}

/// Everything, as `export` passes it on.
fn whole(dir: &Path, head: Seq) -> Result<Vec<String>, String> {
    let mut log = OfflineLog::open(dir).map_err(|error| error.to_string())?;
    let (mut pages, mut lines) = (WholePages::default(), Vec::new());
    while pages.through() < head {
        let after = pages.through();
        let page = pages.next(&mut log, head, PageLimits::default()).map_err(|e| e.to_string())?;
        for section in &page.sections {
            for index in section.events_in(after, page.through) {
                let event = section.recorded(index).map_err(|error| error.to_string())?;
                lines.push(line(&event));
            }
        }
    }
    Ok(lines)
}

/// What `export --readable` passes on is what was written, and what it leaves out is named.
fn saved(dir: &Path, image: &Image) -> Result<Said, String> {
    let mut log = match OfflineLog::open_what_is_left(dir) {
        Ok(log) => log,
        // Not even the tables can be read: all of it is left out, by the error.
        Err(_) => return Ok(Said::Found { n_left_out: Some(image.lines.len()) }),
    };
    let mut pages = ReadablePages::new(&mut log).map_err(|error| error.to_string())?;
    let mut is_told = vec![false; image.lines.len()];
    let (mut left_out, mut n_saved) = (Vec::new(), 0);
    loop {
        let passage = pages.next(&mut log, PageLimits::default());
        let Some(passage) = passage.map_err(|error| format!("not read on: {error}"))? else {
            break;
        };
        left_out.extend(passage.left_out);
        for section in &passage.sections {
            for index in 0..section.len() {
                let event = section.recorded(index).map_err(|error| error.to_string())?;
                let at = event.seq.get() as usize - 1;
                if image.lines.get(at) != Some(&line(&event)) || is_told[at] {
                    return Err(format!("seq {} is saved otherwise: {event:?}", event.seq));
                }
                is_told[at] = true;
                n_saved += 1;
            }
        }
    }
    for (n, _) in (1..).zip(&is_told).filter(|(_, is_told)| !**is_told) {
        let seq = Seq::new(n).unwrap();
        if !left_out.iter().any(|left| (left.span.first..=left.span.last).contains(&seq)) {
            return Err(format!("seq {seq} is left out in silence: {left_out:?}"));
        }
    }
    Ok(Said::Found { n_left_out: Some(image.lines.len() - n_saved) })
}

fn line(event: &scrollback_schema::Recorded) -> String {
    let mut line = Vec::new();
    wire::write_line(&mut line, event);
    String::from_utf8(line).unwrap()
}
