//! Closed lists: enums whose members have a stable code (for bytes and databases) and a name (for people and files).

/// A name that is not in a closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {list} {name:?}")]
pub struct UnknownName {
    /// The list.
    pub list: &'static str,
    /// The name.
    pub name: String,
}

/// Declares an enum with `code()`, `from_code()`, `name()`, `ALL`, `Display`, `FromStr` and serde by name.
///
/// Codes are in digests and on disk, so members are only added and a code is never used again.
macro_rules! closed_list {
    ($(#[$meta:meta])* $list:ident { $($(#[$member_meta:meta])* $member:ident = $code:literal, $name:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $list { $($(#[$member_meta])* $member = $code),+ }

        impl $list {
            /// Every member, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$member),+];

            /// The stable number of this member.
            #[must_use]
            pub const fn code(self) -> u8 { self as u8 }

            /// The member with this number.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$member),)+ _ => None }
            }

            /// The name of this member in files and output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$member => $name),+ }
            }
        }

        impl std::fmt::Display for $list {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.name()) }
        }

        impl std::str::FromStr for $list {
            type Err = $crate::model::UnknownName;
            fn from_str(name: &str) -> Result<Self, Self::Err> {
                match name {
                    $($name => Ok(Self::$member),)+
                    _ => Err($crate::model::UnknownName { list: stringify!($list), name: name.to_owned() }),
                }
            }
        }

        impl serde::Serialize for $list {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $list {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                name.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use closed_list;
