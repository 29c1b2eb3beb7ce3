//! Flat tables of named columns in Parquet files (zstd), readable by pandas, Polars, DuckDB and TRL's viewers.

use std::fs::File;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, FloatType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};

/// One column, all rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Column {
    Flag(Vec<bool>),
    Count(Vec<u32>),
    Long(Vec<u64>),
    /// Non-finite numbers are written as absent.
    Number(Vec<Option<f32>>),
    Text(Vec<String>),
}

/// Columns by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    columns: Vec<(String, Column)>,
}

impl Table {
    /// Adds a column; all columns of a table have the same length.
    pub(crate) fn with(mut self, name: &str, column: Column) -> Table {
        self.columns.push((name.to_string(), column));
        self
    }

    /// The table as the bytes of a Parquet file.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let fields = self.columns.iter().map(|(name, column)| field(name, column)).collect::<Result<Vec<_>>>()?;
        let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?);
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, self.properties()?)?;
        let mut group = writer.next_row_group()?;
        for (_, column) in &self.columns {
            write(&mut group, column)?;
        }
        group.close()?;
        writer.close()?;
        Ok(bytes)
    }

    /// Reads all columns of kinds that [`Column`] knows; others are left out.
    pub(crate) fn decode(file: File) -> Result<Table> {
        Table::decode_only(file, &|_, _| true)
    }

    /// Reads the columns that `wanted` names, of kinds that [`Column`] knows; it is told all names beside.
    pub(crate) fn decode_only(file: File, wanted: &dyn Fn(&str, &[String]) -> bool) -> Result<Table> {
        let reader = SerializedFileReader::new(file)?;
        let mut table = Table::default();
        let schema = reader.metadata().file_metadata().schema_descr();
        let names: Vec<String> = schema.columns().iter().map(|c| c.path().string()).collect();
        for group in 0..reader.num_row_groups() {
            let group = reader.get_row_group(group)?;
            for index in 0..group.num_columns() {
                let name = group.metadata().column(index).column_path().string();
                if !wanted(&name, &names) {
                    continue;
                }
                if let Some(column) = read(group.as_ref(), index)? {
                    table.extend(name, column)?;
                }
            }
        }
        Ok(table)
    }

    /// Removes and returns a column.
    ///
    /// # Errors
    /// If there is none of that name and kind.
    pub(crate) fn flags(&mut self, name: &str) -> Result<Vec<bool>> {
        self.take(name, |column| if let Column::Flag(values) = column { Some(values) } else { None })
    }

    /// As [`Table::flags`], for counts.
    pub(crate) fn counts(&mut self, name: &str) -> Result<Vec<u32>> {
        self.take(name, |column| if let Column::Count(values) = column { Some(values) } else { None })
    }

    /// As [`Table::flags`], for long counts.
    pub(crate) fn longs(&mut self, name: &str) -> Result<Vec<u64>> {
        self.take(name, |column| if let Column::Long(values) = column { Some(values) } else { None })
    }

    /// As [`Table::flags`], for numbers.
    pub(crate) fn numbers(&mut self, name: &str) -> Result<Vec<Option<f32>>> {
        self.take(name, |column| if let Column::Number(values) = column { Some(values) } else { None })
    }

    /// As [`Table::flags`], for texts.
    pub(crate) fn texts(&mut self, name: &str) -> Result<Vec<String>> {
        self.take(name, |column| if let Column::Text(values) = column { Some(values) } else { None })
    }

    /// Number of rows: that of the shortest column, so that a damaged table cannot be read out of bounds.
    pub(crate) fn rows(&self) -> usize {
        self.columns.iter().map(|(_, column)| column.len()).min().unwrap_or(0)
    }

    fn take<T>(&mut self, name: &str, kind: impl Fn(Column) -> Option<Vec<T>>) -> Result<Vec<T>> {
        let missing = || ParquetError::General(format!("column `{name}` is missing or of another type"));
        let at = self.columns.iter().position(|(n, _)| n == name).ok_or_else(missing)?;
        kind(self.columns.swap_remove(at).1).ok_or_else(missing)
    }

    /// Later row groups continue the columns of the first.
    fn extend(&mut self, name: String, more: Column) -> Result<()> {
        let Some((_, column)) = self.columns.iter_mut().find(|(n, _)| *n == name) else {
            self.columns.push((name, more));
            return Ok(());
        };
        match (column, more) {
            (Column::Flag(a), Column::Flag(b)) => a.extend(b),
            (Column::Count(a), Column::Count(b)) => a.extend(b),
            (Column::Long(a), Column::Long(b)) => a.extend(b),
            (Column::Number(a), Column::Number(b)) => a.extend(b),
            (Column::Text(a), Column::Text(b)) => a.extend(b),
            _ => return Err(ParquetError::General(format!("column `{name}` changes its type"))),
        }
        Ok(())
    }

    /// zstd everywhere; floats as split byte streams without a dictionary, which compresses log-probs far better.
    fn properties(&self) -> Result<WriterPropertiesPtr> {
        let mut builder =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?));
        for (name, _) in self.columns.iter().filter(|(_, column)| matches!(column, Column::Number(_))) {
            let path = ColumnPath::from(name.as_str());
            builder = builder
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT);
        }
        Ok(Arc::new(builder.build()))
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Column::Flag(values) => values.len(),
            Column::Count(values) => values.len(),
            Column::Long(values) => values.len(),
            Column::Number(values) => values.len(),
            Column::Text(values) => values.len(),
        }
    }
}

fn field(name: &str, column: &Column) -> Result<Arc<Type>> {
    let (physical, logical, repetition) = match column {
        Column::Flag(_) => (Physical::BOOLEAN, None, Repetition::REQUIRED),
        Column::Count(_) => (Physical::INT32, Some(LogicalType::integer(32, false)), Repetition::REQUIRED),
        Column::Long(_) => (Physical::INT64, None, Repetition::REQUIRED),
        Column::Number(_) => (Physical::FLOAT, None, Repetition::OPTIONAL),
        Column::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String), Repetition::REQUIRED),
    };
    let builder = Type::primitive_type_builder(name, physical).with_logical_type(logical).with_repetition(repetition);
    Ok(Arc::new(builder.build()?))
}

fn write(group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>, column: &Column) -> Result<()> {
    match column {
        Column::Flag(values) => write_as::<BoolType>(group, values, None),
        // Unsigned integers are stored by their bits, as the format prescribes.
        Column::Count(values) => {
            write_as::<Int32Type>(group, &values.iter().map(|&x| x as i32).collect::<Vec<_>>(), None)
        }
        Column::Long(values) => {
            write_as::<Int64Type>(group, &values.iter().map(|&x| x as i64).collect::<Vec<_>>(), None)
        }
        Column::Number(values) => {
            let finite = values.iter().map(|x| x.filter(|x| x.is_finite()));
            let levels: Vec<i16> = finite.clone().map(|x| i16::from(x.is_some())).collect();
            write_as::<FloatType>(group, &finite.flatten().collect::<Vec<_>>(), Some(&levels))
        }
        Column::Text(values) => {
            let values: Vec<ByteArray> = values.iter().map(|text| ByteArray::from(text.as_bytes().to_vec())).collect();
            write_as::<ByteArrayType>(group, &values, None)
        }
    }
}

fn write_as<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    let missing = || ParquetError::General("more columns than the schema names".to_string());
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

fn read(group: &dyn RowGroupReader, index: usize) -> Result<Option<Column>> {
    Ok(Some(match group.get_column_reader(index)? {
        ColumnReader::BoolColumnReader(reader) => Column::Flag(required(read_as(reader)?)?),
        ColumnReader::Int32ColumnReader(reader) => {
            Column::Count(required(read_as(reader)?)?.into_iter().map(|x| x as u32).collect())
        }
        ColumnReader::Int64ColumnReader(reader) => {
            Column::Long(required(read_as(reader)?)?.into_iter().map(|x| x as u64).collect())
        }
        ColumnReader::FloatColumnReader(reader) => Column::Number(read_as(reader)?),
        ColumnReader::ByteArrayColumnReader(reader) => {
            let texts = required(read_as(reader)?)?;
            Column::Text(texts.iter().map(|bytes| bytes.as_utf8().map(str::to_string)).collect::<Result<_>>()?)
        }
        _ => return Ok(None),
    }))
}

/// All values of a flat column; `None` where absent.
fn read_as<T: DataType>(mut reader: ColumnReaderImpl<T>) -> Result<Vec<Option<T::T>>> {
    let mut rows = Vec::new();
    loop {
        let (mut values, mut levels) = (Vec::new(), Vec::new());
        let (records, present, _) = reader.read_records(BATCH, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            return Ok(rows);
        }
        if levels.is_empty() || present == records {
            rows.extend(values.into_iter().map(Some));
        } else {
            let mut values = values.into_iter();
            rows.extend(levels.iter().map(|&level| if level > 0 { values.next() } else { None }));
        }
    }
}

fn required<T>(values: Vec<Option<T>>) -> Result<Vec<T>> {
    let missing = || ParquetError::General("a value that must be there is absent".to_string());
    values.into_iter().collect::<Option<_>>().ok_or_else(missing)
}

/// Rows read at a time.
const BATCH: usize = 16 * 1024;
const ZSTD_LEVEL: i32 = 3;
