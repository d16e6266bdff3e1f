//! Our own pages' Markdown: paragraphs, lists and code; nothing else is in them. Pure.

use super::views::escaped;

/// HTML of such a text; everything in it is escaped.
pub(super) fn html(text: &str) -> String {
    let mut out = String::new();
    let mut list = None;
    let mut block = String::new();
    for line in text.lines().chain([""]) {
        let item = line.strip_prefix("- ").map(|rest| ("ul", rest)).or_else(|| {
            let (number, rest) = line.split_once(". ")?;
            (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(("ol", rest))
        });
        if item.is_some() || line.trim().is_empty() {
            close(&mut out, &mut block, list.is_some());
        }
        match item {
            Some((kind, rest)) => {
                if list != Some(kind) {
                    end(&mut out, &mut list);
                    out.extend(["<", kind, ">"]);
                    list = Some(kind);
                }
                block.push_str(rest);
            }
            None if line.trim().is_empty() => {}
            None => {
                if list.is_some() && block.is_empty() {
                    end(&mut out, &mut list);
                }
                block.push(' ');
                block.push_str(line.trim());
            }
        }
    }
    end(&mut out, &mut list);
    out
}

fn close(out: &mut String, block: &mut String, listed: bool) {
    let text = std::mem::take(block);
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    let parts: Vec<String> = text.split('`').map(escaped).collect();
    let coded = parts
        .iter()
        .enumerate()
        .map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.clone() });
    let html: String = coded.collect();
    let tag = if listed { "li" } else { "p class=\"prose\"" };
    let name = tag.split(' ').next().unwrap_or(tag);
    out.extend(["<", tag, ">", &html, "</", name, ">"]);
}

fn end(out: &mut String, list: &mut Option<&'static str>) {
    if let Some(kind) = list.take() {
        out.extend(["</", kind, ">"]);
    }
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn paragraphs_lists_and_code_become_what_they_are_and_nothing_else_does() {
        let text = "A `SKU` is\nmissing.\n\n- one <b>\n- two\n  goes on\n\n1. first\n2. second\n\nThe end.";
        let expected = "<p class=\"prose\">A <code>SKU</code> is missing.</p><ul><li>one &lt;b&gt;</li><li>two goes on</li></ul>\
                        <ol><li>first</li><li>second</li></ol><p class=\"prose\">The end.</p>";
        assert_eq!(html(text), expected);
        assert_eq!(html(""), "");
    }
}
