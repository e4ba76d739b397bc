//! From the words of a filter to a condition, by recursive descent.

use super::condition::{Leaf, Node, Test};
use super::error::FilterError;
use super::tokens::{Token, Word, tokens};
use crate::attributes::Value;

/// Parentheses and `not`s that may stand in one another.
const DEPTH: usize = 64;

type Result<T> = std::result::Result<T, FilterError>;

/// Reads a condition.
pub(super) fn parse(text: &str) -> Result<Node> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, end: text.chars().count() + 1 };
    let node = parser.any(0)?;
    match parser.peek() {
        None => Ok(node),
        Some(token) => Err(FilterError::new(
            Some(token.position),
            format!("{} after the end of a condition", token.word.shown()),
            "join conditions with and, or",
        )),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    /// The position after the text.
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += usize::from(token.is_some());
        token
    }

    /// Passes a word of the language or a sign, if it is next.
    fn pass(&mut self, word: &str) -> bool {
        let is_next = self.peek().is_some_and(|token| match &token.word {
            Word::Sign(sign) => *sign == word,
            other => other.is(word),
        });
        self.at += usize::from(is_next);
        is_next
    }

    fn position(&self) -> usize {
        self.peek().map_or(self.end, |token| token.position)
    }

    /// That something else has to stand here.
    fn expected<T>(&self, what: &str, remedy: &str) -> Result<T> {
        let found = self.peek().map_or("the end".to_owned(), |token| token.word.shown());
        Err(FilterError::new(Some(self.position()), format!("{found} where {what} should stand"), remedy))
    }

    fn any(&mut self, depth: usize) -> Result<Node> {
        let mut nodes = vec![self.all(depth)?];
        while self.pass("or") {
            nodes.push(self.all(depth)?);
        }
        Ok(one_or(nodes, Node::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Node> {
        let mut nodes = vec![self.unary(depth)?];
        while self.pass("and") {
            nodes.push(self.unary(depth)?);
        }
        Ok(one_or(nodes, Node::All))
    }

    fn unary(&mut self, depth: usize) -> Result<Node> {
        if depth > DEPTH {
            let remedy = format!("put at most {DEPTH} into one another");
            return Err(FilterError::new(Some(self.position()), "too many parentheses", remedy));
        }
        if self.pass("not") || self.pass("!") {
            return Ok(Node::Not(Box::new(self.unary(depth + 1)?)));
        }
        if self.pass("(") {
            let node = self.any(depth + 1)?;
            return if self.pass(")") { Ok(node) } else { self.expected("`)`", "close the parenthesis") };
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Node> {
        const REMEDY: &str = "write a comparison, as price < 50, category = 'coffee', 'sale' in tags or in_stock";
        let position = self.position();
        let leaf = |name: String, test: Test| Node::Leaf(Leaf { name, test, position: Some(position) });
        match self.peek().map(|token| token.word.clone()) {
            Some(Word::Text(tag)) => {
                self.at += 1;
                if !self.pass("in") {
                    return self.expected("`in`", "a text comes first in 'sale' in tags alone; a comparison begins with a name: category = 'coffee'");
                }
                match self.next().map(|token| token.word) {
                    Some(Word::Name { name, .. }) => Ok(leaf(name, Test::Contains(tag))),
                    _ => {
                        self.at -= 1;
                        self.expected("the name of an attribute", "write 'sale' in tags")
                    }
                }
            }
            Some(Word::Name { name, quoted }) if quoted || !is_keyword(&name) => {
                self.at += 1;
                self.test(name, leaf)
            }
            _ => self.expected("a comparison", REMEDY),
        }
    }

    /// What follows a name.
    fn test(&mut self, name: String, leaf: impl Fn(String, Test) -> Node) -> Result<Node> {
        let not = |node: Node| Node::Not(Box::new(node));
        if self.pass("=") || self.pass("==") {
            return Ok(leaf(name, Test::OneOf(vec![self.literal()?])));
        }
        if self.pass("!=") || self.pass("<>") {
            return Ok(not(leaf(name, Test::OneOf(vec![self.literal()?]))));
        }
        for (sign, with) in [("<", false), ("<=", true)] {
            if self.pass(sign) {
                return Ok(leaf(name, Test::Between(None, Some((self.number()?, with)))));
            }
        }
        for (sign, with) in [(">", false), (">=", true)] {
            if self.pass(sign) {
                return Ok(leaf(name, Test::Between(Some((self.number()?, with)), None)));
            }
        }
        if self.pass("in") {
            return Ok(leaf(name, Test::OneOf(self.list()?)));
        }
        if self.peek().is_some_and(|token| token.word.is("not"))
            && self.tokens.get(self.at + 1).is_some_and(|token| token.word.is("in"))
        {
            self.at += 2;
            return Ok(not(leaf(name, Test::OneOf(self.list()?))));
        }
        if self.pass("is") {
            return match () {
                () if self.pass("set") => Ok(leaf(name, Test::IsSet)),
                () if self.pass("missing") => Ok(not(leaf(name, Test::IsSet))),
                () => self.expected("`set` or `missing`", "write price is set or price is missing"),
            };
        }
        Ok(leaf(name, Test::IsTrue))
    }

    fn list(&mut self) -> Result<Vec<Value>> {
        if !self.pass("(") {
            return self.expected("`(`", "write category in ('coffee', 'tea'), or 'sale' in tags");
        }
        let mut values = vec![self.literal()?];
        while self.pass(",") {
            values.push(self.literal()?);
        }
        if self.pass(")") { Ok(values) } else { self.expected("`,` or `)`", "close the list") }
    }

    fn literal(&mut self) -> Result<Value> {
        let value = match self.peek().map(|token| &token.word) {
            Some(Word::Text(text)) => Value::Text(text.clone()),
            Some(Word::Number(number)) => Value::Number(*number),
            Some(word) if word.is("true") || word.is("false") => Value::Bool(word.is("true")),
            Some(Word::Name { name, .. }) => {
                let remedy = format!("texts stand between quotes: '{name}'");
                return self.expected("a value", &remedy);
            }
            _ => return self.expected("a value", "write a number, a text between quotes, true or false"),
        };
        self.at += 1;
        Ok(value)
    }

    fn number(&mut self) -> Result<f64> {
        match self.peek().map(|token| &token.word) {
            Some(&Word::Number(number)) => {
                self.at += 1;
                Ok(number)
            }
            _ => self.expected("a number", "only numbers are compared by <, <=, > and >=; texts by = and in"),
        }
    }
}

fn one_or(mut nodes: Vec<Node>, join: impl Fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        1 => nodes.remove(0),
        _ => join(nodes),
    }
}

fn is_keyword(name: &str) -> bool {
    ["and", "or", "not", "in", "is", "true", "false"].iter().any(|keyword| name.eq_ignore_ascii_case(keyword))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Condition, attribute};
    use proptest::prelude::*;

    /// A condition without what it says of positions.
    fn bare(node: Node) -> Node {
        match node {
            Node::All(nodes) => Node::All(nodes.into_iter().map(bare).collect()),
            Node::Any(nodes) => Node::Any(nodes.into_iter().map(bare).collect()),
            Node::Not(node) => Node::Not(Box::new(bare(*node))),
            Node::Leaf(leaf) => Node::Leaf(Leaf { position: None, ..leaf }),
        }
    }

    #[test]
    fn what_is_read_is_what_could_be_made() {
        let price = || attribute("price");
        for (text, made) in [
            ("price < 50", price().below(50)),
            ("price<=-4.5e1", price().at_most(-45)),
            ("PRICE is SET AND price IS missing", attribute("PRICE").is_set() & price().is_missing()),
            (
                "category = 'it''s' or `odd name` = \"x\"",
                attribute("category").equals("it's") | attribute("odd name").equals("x"),
            ),
            ("a or b and not c", attribute("a").is_true() | (attribute("b").is_true() & !attribute("c").is_true())),
            ("(a or b) and c", (attribute("a").is_true() | attribute("b").is_true()) & attribute("c").is_true()),
            ("'sale' in tags", attribute("tags").contains("sale")),
            ("size not in (1, 2)", !attribute("size").one_of([1, 2])),
            ("in_stock != false", !attribute("in_stock").equals(false)),
            ("`and` > 3", attribute("and").above(3)),
        ] {
            let read = Condition::try_from(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(Condition(bare(read.0)), made, "{text}");
        }
    }

    #[test]
    fn errors_say_where_and_what_to_write() {
        for (text, position, words) in [
            ("", 1, ["the end", "price < 50"]),
            ("price <", 8, ["the end", "number"]),
            ("price < 'a'", 9, ["'a'", "by = and in"]),
            ("category = coffee", 12, ["`coffee`", "'coffee'"]),
            ("price < 5 price > 3", 11, ["`price`", "and, or"]),
            ("(price < 5", 11, ["`)`", "close"]),
            ("größe = 'XL", 9, ["not closed", "twice"]),
            ("price < 5o", 9, ["5o", "backticks"]),
            ("a & b", 3, ["`&`", "and, or"]),
            ("a and", 6, ["the end", "comparison"]),
            ("tags in 'sale'", 9, ["'sale'", "'sale' in tags"]),
            ("a is not set", 6, ["`not`", "missing"]),
        ] {
            let error = Condition::try_from(text).unwrap_err();
            let told = error.to_string();
            assert_eq!(error.position, Some(position), "{text}: {told}");
            assert!(words.iter().all(|word| told.contains(word)), "{text}: {told}");
        }
        let deep = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(Condition::try_from(deep).unwrap_err().to_string().contains("64"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ a-c'\"`()<>=!,.0-9eand or not in is-]{0,40}") {
            if let Err(error) = Condition::try_from(text.as_str()) {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.position.unwrap()));
            }
        }
    }
}
