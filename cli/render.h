// Renderer: rows as text, in the four formats of --format.
//
// table: aligned columns, numbers to the right, long texts cut; the first rows are held back to
// find
//   the widths, later ones keep them, so that a result of any length needs bounded memory.
// json:  an array of objects; a begin() before end() only changes the columns of the rows to come.
// csv: RFC 4180 with plain newlines. tsv: \t, \n, \r and \\ escaped. Columns that hold addresses
// (by name) are hexadecimal in table and json. Texts come from dumps: tables show no control
// characters, json is valid UTF-8 whatever they contain.
//
// Does not own the stream. Rows are refused (row() returns false) once it fails.
#pragma once

#include <memory>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

#include "db/row_sink.h"

namespace residue {

// kSarif and kJunit are documents of findings, not rows: cli/sarif.h and cli/junit.h write them.
enum class OutputFormat { kTable, kJson, kCsv, kTsv, kSarif, kJunit };

constexpr bool is_report(OutputFormat format) {
  return format == OutputFormat::kSarif || format == OutputFormat::kJunit;
}

// "table", "json", "csv", "tsv", "sarif" or "junit".
std::optional<OutputFormat> parse_output_format(std::string_view name);

class Renderer final : public RowSink {
 public:
  // REQUIRES: !is_report(format)
  Renderer(std::ostream& out, OutputFormat format);
  ~Renderer() override;
  Renderer(const Renderer&) = delete;
  Renderer& operator=(const Renderer&) = delete;
  Renderer(Renderer&&) = delete;
  Renderer& operator=(Renderer&&) = delete;

  void begin(std::span<const std::string> columns) override;
  bool row(std::span<const Cell> cells) override;
  void end() override;

 private:
  std::unique_ptr<RowSink> format_;
};

}  // namespace residue
