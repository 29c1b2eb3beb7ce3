//! What a shopper is sent for.

/// One errand.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// Number of the product it was made from, in its catalogue.
    pub item: usize,
    /// What shoppers call that kind of product, lower case.
    pub query: String,
    /// The instruction as the agent reads it.
    pub text: String,
    /// Phrases that must hold of the purchase.
    pub attributes: Vec<String>,
    /// Options that must be chosen, (name, value); the name is empty in goals written by people.
    pub options: Vec<(String, String)>,
    /// Most dollars the purchase may cost.
    pub price_upper: f64,
}
