//! Header fields in order, shared by all who hold the same ones.
//!
//! The requests of a run have the same headers, and the answers of a server too, nearly always. So a copy costs nothing,
//! and what is to be known of them is found out once.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Header;
use super::secret::masked_headers;

/// Header fields in order. They are a list that is only copied when one of those who share it changes it.
#[derive(Clone, Default)]
pub struct Headers(Arc<Shared>);

/// What is shared.
#[derive(Clone, Default)]
struct Shared {
    list: Vec<Header>,
    /// The same as they may be shown, once somebody has asked; nothing if they may be shown as they are.
    masked: OnceLock<Option<Headers>>,
}

impl Headers {
    /// The headers as they may be shown: secret values masked, and secrets inside URLs too.
    #[must_use]
    pub fn masked(&self) -> Self {
        let masked = self.0.masked.get_or_init(|| {
            let masked = masked_headers(self);
            (masked != self.0.list).then(|| Self::from(masked))
        });
        masked.as_ref().unwrap_or(self).clone()
    }
}

impl Deref for Headers {
    type Target = Vec<Header>;

    fn deref(&self) -> &Vec<Header> {
        &self.0.list
    }
}

impl DerefMut for Headers {
    fn deref_mut(&mut self) -> &mut Vec<Header> {
        let shared = Arc::make_mut(&mut self.0);
        shared.masked.take();
        &mut shared.list
    }
}

impl From<Vec<Header>> for Headers {
    fn from(list: Vec<Header>) -> Self {
        Self(Arc::new(Shared {
            list,
            masked: OnceLock::new(),
        }))
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        Self::from(Vec::from_iter(headers))
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Headers {
    type Item = &'a mut Header;
    type IntoIter = std::slice::IterMut<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.list == other.0.list
    }
}

impl Eq for Headers {}

impl PartialEq<Vec<Header>> for Headers {
    fn eq(&self, other: &Vec<Header>) -> bool {
        self.0.list == *other
    }
}

impl PartialEq<Headers> for Vec<Header> {
    fn eq(&self, other: &Headers) -> bool {
        *self == other.0.list
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.list.fmt(f)
    }
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.list.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers() -> Headers {
        [
            Header::new("Cookie", "a=S3CR3T"),
            Header::new("Server", "x"),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn a_change_is_seen_by_nobody_else() {
        let first = headers();
        let mut second = first.clone();
        second.push(Header::new("x-a", "1"));
        assert_eq!((first.len(), second.len()), (2, 3));
        assert_ne!(first, second);
        assert_eq!(first, headers());
    }

    #[test]
    fn they_are_masked_once_and_anew_after_a_change() {
        let mut first = headers();
        assert_eq!(*first.masked(), masked_headers(&first));
        assert!(Arc::ptr_eq(&first.masked().0, &first.clone().masked().0));
        first.push(Header::new("X-Token", "S3CR3T"));
        assert!(!format!("{:?}", first.masked()).contains("S3CR3T"));
        // What needs no mask is the thing itself.
        first.retain(|header| header.is("server"));
        assert!(Arc::ptr_eq(&first.0, &first.masked().0));
    }
}
