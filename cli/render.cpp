#include "cli/render.h"

#include <algorithm>
#include <vector>

#include "cli/cell_text.h"
#include "formats/base/text.h"

namespace residue {
namespace {

constexpr size_t kHeldRows = 10000;    // of a table, to find the widths of its columns
constexpr size_t kMaxCellWidth = 100;  // of a table
constexpr size_t kFlushBytes = 1 << 16;

// Text collected for a stream, so that a cell does not cost a call of the stream.
class Buffer {
 public:
  explicit Buffer(std::ostream& out) : out_(out) {}
  // What a query that failed on the way has already yielded is shown all the same.
  ~Buffer() { flush(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::string& text() { return text_; }
  // False once the stream has failed.
  bool spill() { return text_.size() < kFlushBytes || flush(); }
  bool flush() {
    out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    text_.clear();
    return out_.good();
  }

 private:
  std::ostream& out_;
  std::string text_;
};

class TableWriter final : public RowSink {
 public:
  explicit TableWriter(std::ostream& out) : buffer_(out) {}
  void begin(std::span<const std::string> columns) override;
  bool row(std::span<const Cell> cells) override;
  void end() override;

 private:
  struct Column {
    std::string name;
    bool is_address = false;
    bool has_text = false;  // then it is aligned to the left
    bool has_number = false;
    size_t width = 0;
  };

  std::string text_of(const Cell& cell, const Column& column) const;
  void write_line(std::span<const std::string> texts);
  void release();

  Buffer buffer_;
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> held_;
  bool holding_ = true;
  bool after_another_ = false;
};

void TableWriter::begin(std::span<const std::string> columns) {
  if (after_another_) buffer_.text() += '\n';
  after_another_ = true;
  columns_.clear();
  held_.clear();
  holding_ = true;
  for (const std::string& name : columns) {
    const std::string shown = cut_text(printable(name), kMaxCellWidth);
    columns_.push_back({shown, is_address_column(name), false, false, count_characters(shown)});
  }
}

std::string TableWriter::text_of(const Cell& cell, const Column& column) const {
  if (const auto* text = std::get_if<std::string_view>(&cell)) {
    // Bytes enough for the characters shown, each of at most four: the rest need not be looked at.
    const std::string_view head = text->substr(0, 4 * (kMaxCellWidth + 1));
    return cut_text(printable(head), kMaxCellWidth);
  }
  const auto* integer = std::get_if<int64_t>(&cell);
  if (integer != nullptr && column.is_address) return hex(static_cast<uint64_t>(*integer));
  std::string plain;
  append_plain(plain, cell);
  return cut_text(plain, kMaxCellWidth);
}

bool TableWriter::row(std::span<const Cell> cells) {
  std::vector<std::string> texts;
  texts.reserve(columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    const bool is_number =
        std::holds_alternative<int64_t>(cells[i]) || std::holds_alternative<double>(cells[i]);
    const bool is_null = std::holds_alternative<std::monostate>(cells[i]);
    texts.push_back(text_of(cells[i], column));
    if (!holding_) continue;
    column.has_number = column.has_number || is_number;
    column.has_text = column.has_text || (!is_number && !is_null);
    column.width = std::max(column.width, count_characters(texts.back()));
  }
  if (!holding_) {
    write_line(texts);
    return buffer_.spill();
  }
  held_.push_back(std::move(texts));
  if (held_.size() == kHeldRows) release();
  return buffer_.spill();
}

// Ends the search for widths and writes what was held back.
void TableWriter::release() {
  holding_ = false;
  std::vector<std::string> names;
  std::vector<std::string> rules;
  for (const Column& column : columns_) {
    names.push_back(column.name);
    rules.emplace_back(column.width, '-');
  }
  write_line(names);
  write_line(rules);
  for (const auto& texts : held_) write_line(texts);
  held_ = {};
}

void TableWriter::write_line(std::span<const std::string> texts) {
  std::string& out = buffer_.text();
  size_t padding = 0;  // owed, so that no line ends in blanks
  for (size_t i = 0; i < texts.size(); ++i) {
    const Column& column = columns_[i];
    const size_t length = count_characters(texts[i]);
    const size_t fill = column.width > length ? column.width - length : 0;
    const bool right = column.has_number && !column.has_text;
    if (i > 0) padding += 2;
    if (right) padding += fill;
    if (length > 0) {
      out.append(padding, ' ');
      out += texts[i];
      padding = 0;
    }
    if (!right) padding += fill;
  }
  out += '\n';
}

void TableWriter::end() {
  if (holding_) release();
  buffer_.flush();
}

class JsonWriter final : public RowSink {
 public:
  explicit JsonWriter(std::ostream& out) : buffer_(out) {}

  void begin(std::span<const std::string> columns) override {
    keys_.clear();
    is_address_.clear();
    for (const std::string& name : columns) {
      std::string key;
      append_json_string(key, name);
      keys_.push_back(key + ": ");
      is_address_.push_back(is_address_column(name));
    }
    // Columns that change in the middle of a result: its rows go on in the same array.
    if (open_) return;
    open_ = true;
    rows_ = 0;
    buffer_.text() += '[';
  }

  bool row(std::span<const Cell> cells) override {
    std::string& out = buffer_.text();
    out += rows_++ == 0 ? "\n{" : ",\n{";
    for (size_t i = 0; i < keys_.size(); ++i) {
      if (i > 0) out += ", ";
      out += keys_[i];
      append_json(out, cells[i], is_address_[i]);
    }
    out += '}';
    return buffer_.spill();
  }

  void end() override {
    open_ = false;
    buffer_.text() += rows_ == 0 ? "]\n" : "\n]\n";
    buffer_.flush();
  }

 private:
  Buffer buffer_;
  bool open_ = false;
  std::vector<std::string> keys_;
  std::vector<bool> is_address_;
  uint64_t rows_ = 0;
};

// csv and tsv: a line of names, then a line for each row.
class LineWriter final : public RowSink {
 public:
  LineWriter(std::ostream& out, bool tabs) : buffer_(out), tabs_(tabs) {}

  void begin(std::span<const std::string> columns) override {
    std::vector<Cell> names(columns.begin(), columns.end());
    write_line(names);
  }
  bool row(std::span<const Cell> cells) override {
    write_line(cells);
    return buffer_.spill();
  }
  void end() override { buffer_.flush(); }

 private:
  void write_line(std::span<const Cell> cells);
  void append_quoted(std::string_view text);
  void append_escaped(std::string_view text);

  Buffer buffer_;
  bool tabs_;
};

void LineWriter::write_line(std::span<const Cell> cells) {
  std::string& out = buffer_.text();
  for (size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) out += tabs_ ? '\t' : ',';
    const auto* text = std::get_if<std::string_view>(&cells[i]);
    if (text == nullptr) {
      append_plain(out, cells[i]);
    } else if (tabs_) {
      append_escaped(*text);
    } else {
      append_quoted(*text);
    }
  }
  out += '\n';
}

void LineWriter::append_quoted(std::string_view text) {
  std::string& out = buffer_.text();
  // An empty text is quoted to tell it from NULL.
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void LineWriter::append_escaped(std::string_view text) {
  std::string& out = buffer_.text();
  for (const char c : text) {
    switch (c) {
      case '\t':
        out += "\\t";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        out += c;
    }
  }
}

std::unique_ptr<RowSink> make_writer(std::ostream& out, OutputFormat format) {
  switch (format) {
    case OutputFormat::kJson:
      return std::make_unique<JsonWriter>(out);
    case OutputFormat::kCsv:
      return std::make_unique<LineWriter>(out, false);
    case OutputFormat::kTsv:
      return std::make_unique<LineWriter>(out, true);
    case OutputFormat::kTable:
    case OutputFormat::kSarif:
    case OutputFormat::kJunit:
      break;
  }
  return std::make_unique<TableWriter>(out);
}

}  // namespace

std::optional<OutputFormat> parse_output_format(std::string_view name) {
  if (name == "table") return OutputFormat::kTable;
  if (name == "json") return OutputFormat::kJson;
  if (name == "csv") return OutputFormat::kCsv;
  if (name == "tsv") return OutputFormat::kTsv;
  if (name == "sarif") return OutputFormat::kSarif;
  if (name == "junit") return OutputFormat::kJunit;
  return std::nullopt;
}

Renderer::Renderer(std::ostream& out, OutputFormat format) : format_(make_writer(out, format)) {}
Renderer::~Renderer() = default;

void Renderer::begin(std::span<const std::string> columns) { format_->begin(columns); }
bool Renderer::row(std::span<const Cell> cells) { return format_->row(cells); }
void Renderer::end() { format_->end(); }

}  // namespace residue
