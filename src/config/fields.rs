//! One declaration per key: the [`tables!`] macro turns a documented struct into the struct, its default, and the
//! rows from which `--print-config`, change scopes and did-you-mean come. Nothing is said twice.

use crate::core::event::Scope;
use crate::method::METHODS;

/// A table of the recipe, e.g. `[optim]`.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Dotted name, e.g. `env.household`.
    pub name: &'static str,
    /// What the table decides; lines separated by `\n`.
    pub about: &'static str,
    pub fields: &'static [Field],
}

/// One key of a recipe.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Dotted key, e.g. `optim.lr`.
    pub key: &'static str,
    /// Meaning, unit or range, effect of 0; lines separated by `\n`.
    pub doc: &'static str,
    /// When a change of it takes effect in a running trainer.
    pub scope: Scope,
}

/// The explanation of a key below `method.`, as its method gives it: `method.sdar.beta`, or `method.sdar.grpo.kl` where
/// a method holds another one.
pub(super) fn method_doc(key: &str) -> Option<&'static str> {
    let (table, key) = key.rsplit_once('.')?;
    let name = table.rsplit('.').next()?;
    let method = METHODS.iter().find(|method| method.name == name)?;
    method.keys.iter().find(|row| row.key == key).map(|row| row.doc)
}

/// Declares recipe tables:
/// `/// doc` `pub struct Name in "table" { /// doc` `pub key: Type = default, Scope; }`, and for a table inside the table,
/// which is declared on its own, `with key: Type;` at the end.
macro_rules! tables {
    ($(
        $(#[doc = $about:literal])+
        pub struct $name:ident in $table:literal {
            $( $(#[doc = $doc:literal])+ pub $field:ident: $type:ty = $default:expr, $scope:ident; )+
            $( with $inner:ident: $inner_type:ty; )*
        }
    )+) => {
        $(
            $(#[doc = $about])+
            #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $name {
                $( $(#[doc = $doc])+ pub $field: $type, )+
                $( pub $inner: $inner_type, )*
            }

            impl Default for $name {
                fn default() -> Self {
                    Self { $( $field: $default, )+ $( $inner: <$inner_type>::default(), )* }
                }
            }
        )+

        /// These tables, in the order of the printed sample.
        pub(super) const TABLES: &[$crate::config::fields::Table] = &[ $(
            $crate::config::fields::Table {
                name: $table,
                about: concat!($($about, "\n"),+),
                fields: &[ $(
                    $crate::config::fields::Field {
                        key: concat!($table, ".", $crate::config::fields::key_name!($field)),
                        doc: concat!($($doc, "\n"),+),
                        scope: $crate::core::event::Scope::$scope,
                    },
                )+ ],
            },
        )+ ];
    };
}

/// The key of a field: its name, without the escape that a Rust keyword needs.
macro_rules! key_name {
    (r#final) => {
        "final"
    };
    ($field:ident) => {
        stringify!($field)
    };
}

pub(super) use {key_name, tables};
