#include "cli/leak_text.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/render.h"

namespace residue {
namespace {

TEST(LeakText, ALineIsCountShapeAndBytes) {
  EXPECT_EQ(leak_line(1000, "{Session, 3 × 40 bytes}", 416000),
            "1,000 × {Session, 3 × 40 bytes} = 416 kB");
  EXPECT_EQ(leak_line(1, "{24 bytes}", 24), "1 × {24 bytes} = 24 B");
}

TEST(LeakText, OfALongShapeTheBytesStay) {
  const std::string line = leak_line(2, "{" + std::string(5000, 'x') + "}", 80);
  EXPECT_LT(line.size(), 150U);
  EXPECT_EQ(line.substr(line.size() - 12), "xx… = 80 B");
}

TEST(LeakText, ColumnsBecomeALine) {
  std::ostringstream out;
  Renderer renderer(out, OutputFormat::kCsv);
  LeakLines lines(&renderer);
  const std::vector<std::string> columns = {"chunks", "bytes", "module", "count", "shape"};
  lines.begin(columns);
  const std::vector<Cell> full = {int64_t{4}, int64_t{2000}, std::string_view("m"), int64_t{2},
                                  std::string_view("{A}")};
  const std::vector<Cell> nulls(5);
  EXPECT_TRUE(lines.row(full));
  EXPECT_TRUE(lines.row(nulls));
  lines.end();
  EXPECT_EQ(out.str(), "chunks,bytes,module,leak\n4,2000,m,2 × {A} = 2.0 kB\n,,,0 ×  = 0 B\n");
}

TEST(LeakText, AnEmptyResultPrintsNothing) {
  std::ostringstream out;
  Renderer renderer(out, OutputFormat::kCsv);
  const std::vector<std::string> columns = {"a"};
  UnlessEmpty empty(&renderer, [&out] { out << "Title:\n"; });
  empty.begin(columns);
  empty.end();
  EXPECT_EQ(out.str(), "");

  Renderer another(out, OutputFormat::kCsv);
  UnlessEmpty full(&another, [&out] { out << "Title:\n"; });
  const std::vector<Cell> row = {int64_t{1}};
  full.begin(columns);
  full.row(row);
  full.row(row);
  full.end();
  EXPECT_EQ(out.str(), "Title:\na\n1\n1\n");
}

}  // namespace
}  // namespace residue
