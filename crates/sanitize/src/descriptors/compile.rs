//! From declarations to rows: ids instead of names, fields sorted, marks applied.

use std::collections::{BTreeMap, HashMap};

use crate::compiled::{Compiled, CompiledMessage};
use crate::field::{Field, Kind, Name, Shape};
use crate::table::{EnumId, MessageId, Table};
use crate::wire::{Payload, Reader};

use super::read::{self, Declarations, Presence};
use super::{DescriptorError, Marks};

const BOOL: u64 = 8;

/// A table of all declared messages.
pub(super) fn table(declarations: &Declarations<'_>, marks: &Marks) -> Result<Table, DescriptorError> {
    let types = Types::of(declarations)?;
    let options = options(declarations, marks)?;
    let mut compiled = Compiled { token_keys: marks.token_keys.clone(), ..Compiled::default() };
    let mut unmet: Vec<&str> = marks.fields.iter().map(String::as_str).collect();
    for message in declarations.messages.iter().filter(|message| !message.is_map_entry) {
        let start = compiled.fields.len();
        let mut declared: Vec<&read::Field<'_>> = message.fields.iter().collect();
        declared.sort_by_key(|field| field.name);
        for field in declared {
            let full_name = format!("{}.{}", message.full_name, field.name);
            let is_marked_by_path = marks.fields.contains(&full_name);
            unmet.retain(|path| *path != full_name);
            let row = types.row(field, &full_name, &mut compiled)?;
            let is_secret = is_marked_by_path || is_marked(field, &options)?;
            compiled.fields.push(if is_secret { row.secret() } else { row });
        }
        let by_number = by_number(&compiled.fields[start..], &message.full_name, &compiled)?;
        compiled.by_number.extend(by_number);
        let name = compiled.keep(&message.full_name);
        compiled.messages.push(CompiledMessage { name, fields: start..compiled.fields.len() });
    }
    if let Some(path) = unmet.first() {
        return Err(DescriptorError::UnknownField { path: (*path).to_owned() });
    }
    for found in &declarations.enums {
        let mut values = BTreeMap::new();
        for (number, name) in &found.values {
            identifier(name, &format!("{}.{name}", found.full_name))?;
            values.entry(*number).or_insert(*name);
        }
        let values = values.into_iter().map(|(number, name)| (number, compiled.keep(name))).collect();
        compiled.enums.push(values);
    }
    Ok(Table::compiled(compiled))
}

/// The declared types by their full names.
struct Types<'d> {
    messages: HashMap<&'d str, MessageId>,
    entries: HashMap<&'d str, &'d read::Message<'d>>,
    enums: HashMap<&'d str, EnumId>,
}

impl<'d> Types<'d> {
    fn of(declarations: &'d Declarations<'d>) -> Result<Self, DescriptorError> {
        let twice =
            |name: &str| DescriptorError::Invalid { name: name.to_owned(), problem: "it is declared twice" };
        let mut types = Self { messages: HashMap::new(), entries: HashMap::new(), enums: HashMap::new() };
        for message in &declarations.messages {
            let name = message.full_name.as_str();
            let is_new = if message.is_map_entry {
                types.entries.insert(name, message).is_none()
            } else {
                let id = id(types.messages.len(), "messages")?;
                types.messages.insert(name, MessageId(id)).is_none()
            };
            if !is_new {
                return Err(twice(name));
            }
        }
        for found in &declarations.enums {
            let id = id(types.enums.len(), "enums")?;
            if types.enums.insert(&found.full_name, EnumId(id)).is_some() {
                return Err(twice(&found.full_name));
            }
        }
        Ok(types)
    }

    fn row(
        &self,
        field: &read::Field<'_>,
        full_name: &str,
        compiled: &mut Compiled,
    ) -> Result<Field, DescriptorError> {
        let invalid = |problem| DescriptorError::Invalid { name: full_name.to_owned(), problem };
        identifier(field.name, full_name)?;
        let number = u32::try_from(field.number).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or_else(|| invalid("its number is not between 1 and 536870911"))?;
        let name = compiled.keep(field.name);
        let type_name = field.type_name.strip_prefix('.').unwrap_or(field.type_name);
        if field.is_repeated
            && let Some(entry) = self.entries.get(type_name)
        {
            let part = |number| entry.fields.iter().find(|field| field.number == number);
            let (Some(key), Some(value)) = (part(1), part(2)) else {
                return Err(invalid("the entry of the map lacks its key or value"));
            };
            let (key, value) = (self.kind(key, full_name)?, self.kind(value, full_name)?);
            if matches!(key, Kind::Bytes | Kind::Double | Kind::Enum(_) | Kind::Float | Kind::Message(_)) {
                return Err(invalid("a key of a map is an integer, a bool or a string"));
            }
            return Ok(Field::of(name, field.name, number, value, Shape::Map(key)));
        }
        let kind = self.kind(field, full_name)?;
        let shape = match field.real_oneof() {
            _ if field.is_repeated => Shape::Repeated,
            Some(oneof) => Shape::Oneof(
                u8::try_from(oneof).map_err(|_| invalid("it is in the 257th oneof, or a later one"))?,
            ),
            None if matches!(kind, Kind::Message(_)) => Shape::Explicit,
            None => match field.presence {
                Presence::Explicit => Shape::Explicit,
                Presence::Implicit => Shape::Implicit,
            },
        };
        let row = Field::of(name, field.name, number, kind, shape);
        Ok(if field.is_group { row.grouped() } else { row })
    }

    /// By `FieldDescriptorProto.Type`.
    fn kind(&self, field: &read::Field<'_>, full_name: &str) -> Result<Kind, DescriptorError> {
        let type_name = field.type_name.strip_prefix('.').unwrap_or(field.type_name);
        let unknown =
            || DescriptorError::UnknownType { field: full_name.to_owned(), type_name: type_name.to_owned() };
        Ok(match field.type_number {
            1 => Kind::Double,
            2 => Kind::Float,
            3 => Kind::Int64,
            4 => Kind::Uint64,
            5 => Kind::Int32,
            6 => Kind::Fixed64,
            7 => Kind::Fixed32,
            BOOL => Kind::Bool,
            9 => Kind::String,
            read::GROUP | read::MESSAGE => Kind::Message(*self.messages.get(type_name).ok_or_else(unknown)?),
            12 => Kind::Bytes,
            13 => Kind::Uint32,
            14 => Kind::Enum(*self.enums.get(type_name).ok_or_else(unknown)?),
            15 => Kind::Sfixed32,
            16 => Kind::Sfixed64,
            17 => Kind::Sint32,
            18 => Kind::Sint64,
            _ => {
                let problem = "its type is none that protobuf has";
                return Err(DescriptorError::Invalid { name: full_name.to_owned(), problem });
            }
        })
    }
}

/// The numbers of the options that mark a field.
fn options(declarations: &Declarations<'_>, marks: &Marks) -> Result<Vec<u32>, DescriptorError> {
    let mut options = marks.options.clone();
    for name in &marks.named_options {
        let extension = declarations.extensions.iter().find(|extension| extension.full_name == *name);
        let extension = extension.ok_or_else(|| DescriptorError::UnknownExtension { name: name.clone() })?;
        let number = u32::try_from(extension.field.number).ok();
        let (Some(number), BOOL, false) = (number, extension.field.type_number, extension.field.is_repeated)
        else {
            return Err(DescriptorError::NotBool { option: name.clone() });
        };
        options.push(number);
    }
    Ok(options)
}

fn is_marked(field: &read::Field<'_>, options: &[u32]) -> Result<bool, DescriptorError> {
    let mut is_marked = false;
    for option in options {
        let mut is_set = false;
        for part in &field.options {
            let mut reader = Reader::new(part);
            while let Some((number, payload)) = reader.next_field()? {
                match payload {
                    _ if number != *option => {}
                    // Of a value that is there again, the last counts.
                    Payload::Varint(value) => is_set = value != 0,
                    _ => return Err(DescriptorError::NotBool { option: option.to_string() }),
                }
            }
        }
        is_marked |= is_set;
    }
    Ok(is_marked)
}

/// The positions of a message's fields, which are sorted by name, ascending by number.
fn by_number(fields: &[Field], message: &str, compiled: &Compiled) -> Result<Vec<u16>, DescriptorError> {
    let count = id(fields.len(), "fields of one message")?;
    let twice = |problem| DescriptorError::Invalid { name: message.to_owned(), problem };
    let name = |field: &Field| match field.name() {
        Name::Compiled { start, end } => compiled.text(start, end),
        Name::Static(text) => text,
    };
    if !fields.is_sorted_by(|a, b| name(a) < name(b)) {
        return Err(twice("two of its fields have one name"));
    }
    let mut positions: Vec<u16> = (0..count).collect();
    let number_at = |position: &u16| fields.get(usize::from(*position)).map(Field::number);
    positions.sort_unstable_by_key(number_at);
    if !positions.is_sorted_by(|a, b| number_at(a) < number_at(b)) {
        return Err(twice("two of its fields have one number"));
    }
    Ok(positions)
}

/// Names are written between quotes as they are.
fn identifier(name: &str, full_name: &str) -> Result<(), DescriptorError> {
    let is_identifier =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_identifier {
        return Ok(());
    }
    Err(DescriptorError::Invalid { name: full_name.to_owned(), problem: "its name is no identifier" })
}

fn id(position: usize, what: &'static str) -> Result<u16, DescriptorError> {
    u16::try_from(position).map_err(|_| DescriptorError::TooMany { what })
}
