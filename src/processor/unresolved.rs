//! What the catalogue should have told of an order and did not: said, passed over, or put before a person, by policy.

use crate::catalogue::View;
use crate::domain::defect::{Defect, ExceptionCode, Warning};
use crate::domain::policy::OnUnmapped;
use crate::domain::sales_order::SalesOrder;

const REMEDY: &str = "Bring Commerce's REST interface back or give its user the right to read products, then replay the event: the \
     catalogue is asked again. Policy unresolved decides whether such orders wait.";

/// A document with what stayed unresolved in it, or why it waits.
///
/// # Errors
/// Under the policy `park`: one defect for each.
pub fn resolved(mut document: SalesOrder, view: Option<&View>, policy: OnUnmapped) -> Result<SalesOrder, Vec<Defect>> {
    let Some(view) = view.filter(|_| policy != OnUnmapped::Pass) else { return Ok(document) };
    let mut open = Vec::new();
    for (index, line) in document.lines.iter().enumerate() {
        if let (Some(sku), Some(product)) = (&line.sku, line.product_id)
            && view.is_unresolved(product)
        {
            let message =
                "the product's own SKU is not known: the SKU is the order's, which may carry those of options";
            open.push(Open { kind: Kind::Sku, path: format!("lines/{index}/sku"), value: sku.clone(), message });
        }
        for (place, option) in line.options.iter().enumerate().filter(|(_, option)| option.title.is_none()) {
            let message = "the option's title is not known: a picker reads its id";
            let path = format!("lines/{index}/options/{place}/title");
            open.push(Open { kind: Kind::Option, path, value: option.id.clone(), message });
        }
    }
    if policy == OnUnmapped::Park && !open.is_empty() {
        return Err(open.into_iter().map(Open::defect).collect());
    }
    document.warnings.extend(open.into_iter().map(Open::warning));
    Ok(document)
}

enum Kind {
    Sku,
    Option,
}

struct Open {
    kind: Kind,
    path: String,
    value: String,
    message: &'static str,
}

impl Open {
    fn warning(self) -> Warning {
        let code = match self.kind {
            Kind::Sku => "sku_not_resolved",
            Kind::Option => "option_not_resolved",
        };
        Warning::new(code, self.path, self.message)
    }

    fn defect(self) -> Defect {
        let code = match self.kind {
            Kind::Sku => ExceptionCode::UnmappedSku,
            Kind::Option => ExceptionCode::UnmappedOption,
        };
        let message = format!("Commerce's catalogue was not there in time: {}", self.message);
        let cause = format!("catalogue: {}", self.value);
        Defect::new(code, self.path, message).with_value(&self.value).with_remedy(REMEDY).with_cause(cause)
    }
}
