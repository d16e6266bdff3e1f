//! How a destination wants an order's money and options put: the words of `[destinations.NAME.shape]`.
//!
//! Nothing said is the document as it always was, byte for byte. What the words do stands in [`super::shaping`].

use serde::{Deserialize, Serialize, Serializer};

/// Where tax stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaxShape {
    /// On each line, in the column `tax`.
    #[default]
    Amount,
    /// The same, and each line has a tax code: the destination goes by it.
    Code,
    /// On one line of kind `tax`.
    Line,
    /// Inside `net` and `unit_price`; how much of it is tax stands in `tax_included`.
    Gross,
    /// Nowhere: amounts are without tax, and the totals say how much was left out.
    None,
}

/// Where discounts stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiscountShape {
    /// On each line, in the column `discount`.
    #[default]
    Amount,
    /// On one line of kind `discount`, below zero.
    Line,
}

/// Where shipping stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShippingShape {
    /// Among the lines.
    #[default]
    Line,
    /// In the member `shipping` of the document.
    Field,
}

/// Where the words of custom options stand beside `options`, where they always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptionShape {
    /// Nowhere else.
    #[default]
    Line,
    /// Each on a `comment` line behind its line.
    Comment,
    /// In the name of its line; what does not fit there as a whole, on a `comment` line behind it.
    Name,
    /// In `fields` of its line, by the field it is mapped to; what is mapped to none, on a `comment` line behind it.
    Field,
}

/// Where what Commerce left open between its rows and its header stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoundingShape {
    /// On one line of kind `rounding`.
    #[default]
    Line,
    /// In shipping, where there is any and it stays above zero, else in the largest line.
    Shipping,
    /// In the largest line, column by column.
    Largest,
}

/// Longest name that options may make of a line's, in characters, unless a destination says otherwise.
pub const NAME_CHARS: u32 = 255;

/// One destination's wishes; a document says them in its member `shape`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Where tax stands.
    pub tax: TaxShape,
    /// Where discounts stand.
    pub discount: DiscountShape,
    /// Where shipping stands.
    pub shipping: ShippingShape,
    /// Where options stand.
    pub options: OptionShape,
    /// Where rounding stands.
    pub rounding: RoundingShape,
    /// Longest name with options in it, in characters.
    pub name_chars: u32,
}

impl Shape {
    /// Nothing is put otherwise than it always was.
    pub fn is_plain(&self) -> bool {
        *self == Shape { name_chars: self.name_chars, ..Shape::default() }
    }

    /// The column `tax` of every line is empty.
    pub fn moves_tax(&self) -> bool {
        match self.tax {
            TaxShape::Amount | TaxShape::Code => false,
            TaxShape::Line | TaxShape::Gross | TaxShape::None => true,
        }
    }
}

impl Default for Shape {
    fn default() -> Self {
        Shape {
            tax: TaxShape::default(),
            discount: DiscountShape::default(),
            shipping: ShippingShape::default(),
            options: OptionShape::default(),
            rounding: RoundingShape::default(),
            name_chars: NAME_CHARS,
        }
    }
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// The five words; how long a name may be is no business of a reader.
        #[derive(Serialize)]
        struct Words {
            tax: TaxShape,
            discount: DiscountShape,
            shipping: ShippingShape,
            options: OptionShape,
            rounding: RoundingShape,
        }
        let Shape { tax, discount, shipping, options, rounding, name_chars: _ } = *self;
        Words { tax, discount, shipping, options, rounding }.serialize(serializer)
    }
}
