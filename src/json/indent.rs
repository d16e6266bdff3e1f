//! JSON as people read it.

/// Compact JSON over several lines, every token as it is: what is shown is what would be sent.
pub fn indented(json: &str) -> String {
    let (mut out, mut depth, mut inside, mut escaped) = (String::with_capacity(json.len() * 2), 0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut chars = json.chars().peekable();
    while let Some(char) = chars.next() {
        if inside {
            out.push(char);
            (inside, escaped) = (escaped || char != '"', !escaped && char == '\\');
            continue;
        }
        match char {
            '{' | '[' if chars.peek().is_some_and(|next| matches!(next, '}' | ']')) => out.push(char),
            '{' | '[' => {
                depth += 1;
                out.push(char);
                line(&mut out, depth);
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(char);
            }
            ',' => {
                out.push(char);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                inside = char == '"';
                out.push(char);
            }
        }
    }
    out
}
