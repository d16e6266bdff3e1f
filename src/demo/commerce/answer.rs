//! What goes back to a caller, in the shapes the engine uses.

use super::tree::Tree;

/// A status, its body and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    /// The body before it was written, while `fields` may still cut it.
    pub(super) tree: Option<Tree>,
}

impl Answer {
    pub(super) const JSON: &'static str = "application/json; charset=utf-8";

    /// 200 with this.
    pub(super) fn ok(tree: Tree) -> Answer {
        Answer { body: tree.php(), tree: Some(tree), ..Answer::plain(200, Self::JSON, "") }
    }

    /// Any text.
    pub(super) fn plain(status: u16, content_type: &'static str, body: &str) -> Answer {
        Answer { status, content_type, headers: Vec::new(), body: body.to_owned(), tree: None }
    }

    /// `{"message":…}` without parameters.
    pub(super) fn message(status: u16, message: &str) -> Answer {
        Answer::error(status, message, None)
    }

    /// `{"message":…,"parameters":[…]}`.
    pub(super) fn with(status: u16, message: &str, parameters: &[&str]) -> Answer {
        Answer::error(status, message, Some(Tree::List(parameters.iter().map(|text| Tree::text(*text)).collect())))
    }

    pub(super) fn error(status: u16, message: &str, parameters: Option<Tree>) -> Answer {
        let mut body = Tree::object([("message", Tree::text(message))]);
        if let Some(parameters) = parameters {
            body.set("parameters", parameters);
        }
        Answer { body: body.php(), ..Answer::plain(status, Self::JSON, "") }
    }

    /// A member that must be there is not.
    pub(super) fn required(name: &str) -> Answer {
        let parameters = Tree::object([("fieldName", Tree::text(name))]);
        Answer::error(400, "\"%fieldName\" is required. Enter and try again.", Some(parameters))
    }

    pub(super) fn no_route() -> Answer {
        Answer::message(404, "Request does not match any route.")
    }

    pub(super) fn no_entity() -> Answer {
        Answer::message(404, "The entity that was requested doesn't exist. Verify the entity and try again.")
    }

    pub(super) fn no_product() -> Answer {
        Answer::message(404, "The product that was requested doesn't exist. Verify the product and try again.")
    }

    /// The masked 500: the cause stands in a log that nobody outside sees.
    pub(super) fn masked() -> Answer {
        Answer::message(
            500,
            "Internal Error. Details are available in Magento log file. Report ID: webapi-6b03d4577bd32",
        )
    }

    /// 503 as a page, without `Retry-After`, before anybody is authenticated.
    pub(super) fn maintenance() -> Answer {
        let page = "<!doctype html>\n<html><head><title>Error 503: Service Unavailable</title></head>\n\
                    <body><h1>Service Temporarily Unavailable</h1></body></html>\n";
        Answer::plain(503, "text/html; charset=UTF-8", page)
    }

    /// What `Accept: text/html` gets, whatever was asked.
    pub(super) fn page_error() -> Answer {
        let page = "<!doctype html>\n<html><head><title>There has been an error processing your request</title></head></html>\n";
        Answer::plain(500, "text/html; charset=UTF-8", page)
    }
}
