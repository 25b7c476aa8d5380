//! Reads a page as strictly as nobody else does: every tag is closed, every attribute is quoted, and what is wrong for people
//! who do not see it is a fault, too.

use std::cell::RefCell;
use std::collections::BTreeSet;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

/// Elements that have no end tag.
const VOID: [&str; 5] = ["br", "input", "link", "meta", "img"];

/// An element with what is in it.
#[derive(Debug, Clone, Default)]
pub struct Element {
    /// Its name, in lower case.
    pub name: String,
    /// Its attributes, in their order.
    pub attributes: Vec<(String, String)>,
    /// Elements and texts in it.
    pub children: Vec<Node>,
}

/// A part of an element.
#[derive(Debug, Clone)]
pub enum Node {
    /// Another element.
    Element(Element),
    /// A text, without its escapes.
    Text(String),
}

/// Reads a page.
///
/// # Errors
/// The first thing that a strict reader does not accept.
pub fn read(html: &str) -> Result<Element, String> {
    let reader = Reader::default();
    let opts = TokenizerOpts { exact_errors: true, ..TokenizerOpts::default() };
    let tokenizer = Tokenizer::new(reader, opts);
    let input = BufferQueue::default();
    input.push_back(StrTendril::from(html));
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let mut state = tokenizer.sink.0.into_inner();
    if let Some(fault) = state.faults.into_iter().next() {
        return Err(fault);
    }
    match (state.open.pop(), state.open.is_empty()) {
        (Some(root), true) => Ok(root),
        (last, _) => Err(format!("<{}> is not closed", last.unwrap_or_default().name)),
    }
}

impl Element {
    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All elements with this name, in the order of the page.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&Self> {
        let mut found = Vec::new();
        self.walk(&mut |element| {
            if element.name == name {
                found.push(element);
            }
        });
        found
    }

    /// All elements with this class.
    #[must_use]
    pub fn of_class(&self, class: &str) -> Vec<&Self> {
        let mut found = Vec::new();
        self.walk(&mut |element| {
            if element.attribute("class").is_some_and(|classes| classes.split(' ').any(|one| one == class)) {
                found.push(element);
            }
        });
        found
    }

    /// The text in it, with one space for each run of white space.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.add_text(&mut text);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The rows of the tables in it; the first row of a table has the names of its columns.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<String>> {
        let cells = |row: &&Self| -> Vec<String> {
            let cells = row.children.iter().filter_map(|node| match node {
                Node::Element(cell) if ["td", "th"].contains(&cell.name.as_str()) => Some(cell.text()),
                Node::Element(_) | Node::Text(_) => None,
            });
            cells.collect()
        };
        self.all("tr").iter().map(cells).collect()
    }

    /// What keeps people or browsers from using the page: no language, no title, headings that skip a level, fields without a
    /// label, links and buttons without a text, tables without headers or a caption, parts that scroll and cannot be reached
    /// with the keyboard, code or style within the page.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.all("html").iter().any(|html| html.attribute("lang").is_none()) {
            faults.push("the page has no language".to_owned());
        }
        if self.all("main").len() != 1 || self.all("h1").len() != 1 {
            faults.push(format!("{} main and {} h1", self.all("main").len(), self.all("h1").len()));
        }
        if self.all("head").iter().flat_map(|head| head.all("title")).all(|title| title.text().is_empty()) {
            faults.push("the page has no title".to_owned());
        }
        let (mut level, mut ids) = (0, BTreeSet::new());
        self.walk(&mut |element| {
            let heading = element.name.strip_prefix('h').and_then(|digit| digit.parse::<u8>().ok());
            if let Some(next) = heading {
                if next > level + 1 {
                    faults.push(format!("h{next} {:?} comes after h{level}", element.text()));
                }
                level = next;
            }
            if element.attribute("id").is_some_and(|id| !ids.insert(id.to_owned())) {
                faults.push(format!("{:?} is twice in the page", element.attribute("id")));
            }
            faults.extend(element.own_fault());
        });
        self.labels(false, &mut faults);
        faults
    }

    fn own_fault(&self) -> Option<String> {
        let runs = |(name, _): &&(String, String)| name == "style" || name.starts_with("on");
        if let Some((name, value)) = self.attributes.iter().find(runs) {
            return Some(format!("<{}> has {name}={value:?}", self.name));
        }
        let is_named = !self.text().is_empty() || self.attribute("aria-label").is_some();
        match self.name.as_str() {
            "script" if self.attribute("src").is_none() => Some("code within the page".to_owned()),
            "style" => Some("style within the page".to_owned()),
            "a" | "button" if !is_named => Some(format!("<{}> without a text", self.name)),
            "table" if self.all("th").iter().any(|header| header.attribute("scope").is_none()) => {
                Some("a header of a table has no scope".to_owned())
            }
            "table" if self.all("caption").iter().all(|caption| caption.text().is_empty()) => {
                Some(format!("a table has no caption: {:.60}", self.text()))
            }
            "svg"
                if self.attribute("aria-hidden").is_none()
                    && self.attribute("aria-label").is_none()
                    && self.attribute("aria-labelledby").is_none() =>
            {
                Some("a picture has no label".to_owned())
            }
            _ if self.scrolls()
                && !["tabindex", "role", "aria-label"].iter().all(|name| self.attribute(name).is_some()) =>
            {
                Some(format!("<{}> scrolls and cannot be reached: {:.60}", self.name, self.text()))
            }
            _ => None,
        }
    }

    fn scrolls(&self) -> bool {
        self.attribute("class").is_some_and(|classes| classes.split(' ').any(|one| one == "scroll"))
    }

    fn labels(&self, in_label: bool, faults: &mut Vec<String>) {
        let in_label = in_label || self.name == "label";
        let is_field = ["input", "select", "textarea"].contains(&self.name.as_str());
        let needs_none = self.attribute("type") == Some("hidden");
        if is_field
            && !needs_none
            && !in_label
            && self.attribute("aria-label").is_none()
            && self.attribute("id").is_none()
        {
            faults.push(format!("<{} name={:?}> has no label", self.name, self.attribute("name")));
        }
        for node in &self.children {
            if let Node::Element(child) = node {
                child.labels(in_label, faults);
            }
        }
    }

    fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for node in &self.children {
            if let Node::Element(child) = node {
                child.walk(visit);
            }
        }
    }

    fn add_text(&self, text: &mut String) {
        for node in &self.children {
            match node {
                Node::Text(own) => text.push_str(own),
                Node::Element(child) => child.add_text(text),
            }
        }
        // Cells and lines next to each other are no single word.
        if ["td", "th", "li", "p", "dt", "dd", "br", "div"].contains(&self.name.as_str()) {
            text.push(' ');
        }
    }
}

#[derive(Debug)]
struct State {
    open: Vec<Element>,
    faults: Vec<String>,
}

#[derive(Debug)]
struct Reader(RefCell<State>);

impl Default for Reader {
    fn default() -> Self {
        let root = Element { name: "document".to_owned(), ..Element::default() };
        Self(RefCell::new(State { open: vec![root], faults: Vec::new() }))
    }
}

impl State {
    fn add(&mut self, node: Node) {
        if let Some(last) = self.open.last_mut() {
            last.children.push(node);
        }
    }

    fn tag(&mut self, tag: Tag) {
        let name = tag.name.to_string();
        if tag.kind == TagKind::EndTag {
            match self.open.pop() {
                Some(element) if element.name == name => self.add(Node::Element(element)),
                other => self.faults.push(format!("</{name}> closes <{}>", other.unwrap_or_default().name)),
            }
            return;
        }
        let attributes = tag.attrs.into_iter().map(|attr| (attr.name.local.to_string(), attr.value.to_string()));
        let element = Element { attributes: attributes.collect(), name, children: Vec::new() };
        if tag.self_closing || VOID.contains(&element.name.as_str()) {
            self.add(Node::Element(element));
        } else {
            self.open.push(element);
        }
    }
}

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<()> {
        let mut state = self.0.borrow_mut();
        match token {
            Token::TagToken(tag) => state.tag(tag),
            Token::CharacterTokens(text) => state.add(Node::Text(text.to_string())),
            Token::ParseError(fault) => state.faults.push(format!("line {line}: {fault}")),
            Token::NullCharacterToken => state.faults.push(format!("line {line}: a null character")),
            Token::CommentToken(_) | Token::DoctypeToken(_) | Token::EOFToken => {}
        }
        TokenSinkResult::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_and_every_mistake_in_it_is_found() {
        let page = read("<p class=\"a b\">1 &lt; 2<br>&amp; more</p><ul><li>x</li></ul>").expect("valid");
        assert_eq!(page.text(), "1 < 2 & more x");
        assert_eq!(page.of_class("b").len(), 1);
        for wrong in ["<p>", "</p>", "<p><b></p></b>", "<a href=\"x\"y>z</a>", "<p", "<p a=\"1\" a=\"2\"></p>"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let faults = |html: &str| read(html).expect("valid").faults().join("; ");
        let good = "<html lang=\"en\"><head><title>T</title></head><body><main><h1>H</h1>X</main></body></html>";
        assert_eq!(faults(good), "");
        for (wrong, fault) in [
            ("<h3>x</h3>", "h3 \"x\" comes after h1"),
            ("<input name=\"a\">", "no label"),
            ("<a href=\"/\"></a>", "without a text"),
            ("<p onclick=\"x()\">x</p>", "onclick"),
            ("<p style=\"x\">x</p>", "style"),
            ("<script>x</script>", "code within"),
            ("<table><tr><th scope=\"col\">x</th></tr></table>", "no caption"),
            ("<div class=\"scroll\">x</div>", "cannot be reached"),
        ] {
            assert!(faults(&good.replace('X', wrong)).contains(fault), "{wrong}");
        }
    }
}
