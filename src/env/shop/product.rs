//! What is sold: products, and the shelf of them with its search index.

use std::collections::HashSet;

use anyhow::{Result, ensure};

use crate::env::bm25::{Index, Params};

/// One product.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Short code, unique in a catalogue, upper case; agents click it in lower case.
    pub asin: String,
    pub title: String,
    /// What shoppers call its kind, lower case, e.g. `console tables`; also the unit of per-type success rates.
    pub query: String,
    /// Levels of the shop's departments, general to special.
    pub categories: Vec<String>,
    /// Price as pages show it, e.g. `$12.5` or `$10.0 to $18.5`.
    pub price_tag: String,
    /// Price that decides whether a limit is kept, in dollars.
    pub price: f64,
    /// Groups of options in page order, each with its values, lower case.
    pub options: Vec<(String, Vec<String>)>,
    /// Sentences of the features page.
    pub bullets: Vec<String>,
    /// Text of the description page.
    pub description: String,
    /// Short phrases that hold of it; the reward compares goals with these.
    pub attributes: Vec<String>,
    /// Nouns of the title in lower case, repeated as in the title; the reward compares kinds of product by them.
    pub nouns: Vec<String>,
}

impl Product {
    /// The text the search index reads.
    pub fn search_text(&self) -> String {
        let group = |(name, values): &(String, Vec<String>)| format!("{name}: {}", values.join(", "));
        let options = self.options.iter().map(group).collect::<Vec<_>>().join(", and ");
        let bullet = self.bullets.first().map_or("", String::as_str);
        format!("{} {} {bullet} {options}", self.title, self.description).to_lowercase()
    }
}

/// All products of a shop, with a search index.
#[derive(Clone, Debug)]
pub struct Catalogue {
    products: Vec<Product>,
    /// Codes in lower case, as they are clicked.
    codes: Vec<String>,
    index: Index,
    /// Text of the index to product: the index has them sorted by code, because equal scores rank by code.
    indexed: Vec<u32>,
}

impl Catalogue {
    /// Most results of a search.
    pub const RESULTS: usize = 50;

    /// Puts products on the shelf. Fails if two share a code.
    pub fn new(products: Vec<Product>) -> Result<Catalogue> {
        let codes: Vec<String> = products.iter().map(|product| product.asin.to_lowercase()).collect();
        let mut seen = HashSet::new();
        for code in &codes {
            ensure!(seen.insert(code), "two products have the code `{code}`; each needs its own");
        }
        let mut indexed: Vec<u32> = (0..products.len() as u32).collect();
        indexed.sort_by_key(|&n| &products[n as usize].asin);
        let texts: Vec<String> = indexed.iter().map(|&n| products[n as usize].search_text()).collect();
        let index = Index::new(texts.iter().map(String::as_str), Params::default());
        Ok(Catalogue { products, codes, index, indexed })
    }

    /// The products, in the order in which they came.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// The code of a product in lower case, as it is clicked.
    pub fn code(&self, number: u32) -> &str {
        &self.codes[number as usize]
    }

    /// Numbers of the products that a query finds, best first, at most [`Self::RESULTS`].
    pub fn search(&self, query: &str) -> Vec<u32> {
        self.index.search(query, Self::RESULTS).iter().map(|hit| self.indexed[hit.text]).collect()
    }
}
