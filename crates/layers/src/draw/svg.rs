//! The few elements of SVG that a drawing is made of.

use std::fmt::Write;

/// In a dark scheme; the attributes hold the light one, which readers without style sheets show.
const STYLE: &str = "<style>@media (prefers-color-scheme: dark) { .taper-paper { fill: #16181d } .taper-ink { fill: #e8e8e8 } \
                     .taper-muted { fill: #a0a4ab } .taper-empty { stroke: #a0a4ab } }</style>";

/// A document under construction.
pub(super) struct Svg(String);

impl Svg {
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self(String::new());
        let title = escaped(title);
        svg.line(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             role=\"img\" aria-label=\"{title}\" font-family=\"system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif\">"
        ));
        svg.line(STYLE);
        svg.line("<rect class=\"taper-paper\" width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>");
        svg
    }

    /// A part of its own coordinates, beyond whose edges nothing is drawn.
    pub(super) fn begin_column(&mut self, left: f64, top: f64, width: f64, height: f64) {
        self.line(&format!("<svg x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\" overflow=\"hidden\">"));
    }

    pub(super) fn end_column(&mut self) {
        self.line("</svg>");
    }

    /// Elements that tell `title` in full where one points at them.
    pub(super) fn begin_group(&mut self, title: &str) {
        self.line(&format!("<g><title>{}</title>", escaped(title)));
    }

    pub(super) fn end_group(&mut self) {
        self.line("</g>");
    }

    pub(super) fn quadrilateral(&mut self, above: [f64; 2], below: [f64; 2], [top, bottom]: [f64; 2], colour: &str) {
        let ([a, b], [d, c]) = (above, below);
        let points = format!("{a:.1},{top:.1} {b:.1},{top:.1} {c:.1},{bottom:.1} {d:.1},{bottom:.1}");
        let look = match colour {
            "none" => "class=\"taper-empty\" fill=\"none\" stroke=\"#6a6f76\" stroke-width=\"1.5\"".to_owned(),
            colour => format!("fill=\"{colour}\""),
        };
        self.line(&format!("<polygon points=\"{points}\" {look}/>"));
    }

    pub(super) fn text(&mut self, [x, y]: [f64; 2], size: f64, weight: &str, tone: &str, text: &str) {
        let (fill, text) = (fill(tone), escaped(text));
        self.line(&format!(
            "<text class=\"taper-{tone}\" x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"{fill}\">\
             {text}</text>"
        ));
    }

    /// A bold text, and a muted one that follows it.
    pub(super) fn two_texts(&mut self, [x, y]: [f64; 2], size: f64, bold: &str, muted: &str) {
        let (ink, pale, bold, muted) = (fill("ink"), fill("muted"), escaped(bold), escaped(muted));
        self.line(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\"><tspan class=\"taper-ink\" font-weight=\"bold\" fill=\"{ink}\">\
             {bold}</tspan><tspan class=\"taper-muted\" dx=\"8\" fill=\"{pale}\">{muted}</tspan></text>"
        ));
    }

    pub(super) fn finish(mut self) -> String {
        self.line("</svg>");
        self.0
    }

    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}

fn fill(tone: &str) -> &'static str {
    if tone == "ink" { "#1d2026" } else { "#5d636b" }
}

/// At most `characters` of `text`, and a sign where there were more.
pub(super) fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        None => text.to_owned(),
        Some(_) => text.chars().take(characters - 1).chain(['…']).collect(),
    }
}

/// `text` as XML holds it. What XML cannot hold at all, such as most control characters, becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}
