// Texts that several chunks hold: which chunks count as holding one, and that the counts are exact.
#include "analyzer/duplicates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <random>

#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::GlibcHeapBuilder;
using test::ProcessBuilder;

class Duplicates : public ::testing::Test {
 protected:
  // A chunk of so many usable bytes (24, 40, …), kept alive, that begins with this text.
  uint64_t add(const std::string& text, uint64_t size) {
    const uint64_t user = heap_.alloc(size);
    process_.memory().put_text(user, text);
    return user;
  }
  uint64_t add(const std::string& text) { return add(text, text.size() + 1); }

  std::vector<DuplicateRow> find() {
    snapshot_ = process_.analyze();
    return snapshot_.duplicates;
  }
  static const DuplicateRow* row(const std::vector<DuplicateRow>& rows, const std::string& text) {
    for (const DuplicateRow& r : rows) {
      if (r.text == text) return &r;
    }
    return nullptr;
  }

  ProcessBuilder process_;
  GlibcHeapBuilder& heap_ = process_.heap();
  Snapshot snapshot_;
};

TEST_F(Duplicates, EqualTextsAreCountedWithTheirBytes) {
  const uint64_t first = add("one and the same text");
  add("another text, which is alone");
  add("one and the same text", 40);  // in a larger buffer
  add("one and the same texts");
  add("one and the same text");
  const auto rows = find();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].text, "one and the same text");
  EXPECT_EQ(rows[0].length, 21U);
  EXPECT_EQ(rows[0].count, 3U);
  EXPECT_EQ(rows[0].bytes, 24U + 40 + 24);
  EXPECT_EQ(rows[0].wasted, 40U + 24);
  EXPECT_EQ(rows[0].example.value(), first);
}

TEST_F(Duplicates, FreedTextsDoNotCount) {
  const uint64_t first = add("a text that was freed, and is there still", 600);
  heap_.alloc(24);
  add("a text that was freed, and is there still");
  heap_.free_to_unsorted(first);
  EXPECT_TRUE(find().empty());
}

TEST_F(Duplicates, ATextAtTheBeginningOfSomethingLargerIsAField) {
  for (int i = 0; i < 3; ++i) add("name of a structure", 1000);
  for (int i = 0; i < 3; ++i) add("text in a buffer that has grown", 56);
  const auto rows = find();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].text, "text in a buffer that has grown");
}

TEST_F(Duplicates, BytesWithoutAnEndAreNoText) {
  for (int i = 0; i < 3; ++i) {
    const uint64_t user = heap_.alloc(600);
    process_.memory().fill(user, heap_.blocks().at(user).usable, 'x');
  }
  EXPECT_TRUE(find().empty());
}

TEST_F(Duplicates, LongTextsAreComparedToTheirEnd) {
  std::string text(20000, 'a');
  add(text);
  add(text);
  text.back() = 'b';
  add(text);
  text[10000] = 'c';
  add(text);
  add(text);
  add(text);
  const auto rows = find();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].count, 3U);
  EXPECT_EQ(rows[1].count, 2U);
  EXPECT_EQ(rows[0].length, 20000U);
  EXPECT_EQ(rows[0].text, std::string(200, 'a'));
}

TEST_F(Duplicates, ThoseThatWasteMostComeFirst) {
  for (int i = 0; i < 10; ++i) add("short, but often");
  for (int i = 0; i < 2; ++i) add(std::string(5000, 'l'));
  const auto rows = find();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].length, 5000U);
  EXPECT_GT(rows[0].wasted, rows[1].wasted);
}

TEST_F(Duplicates, OnlyTheWorstAreKept) {
  for (int i = 0; i < 1500; ++i) {
    const std::string text = "text with the number " + std::to_string(10000 + i);
    for (int n = 0; n < (i % 5 == 0 ? 4 : 2); ++n) add(text);
  }
  const auto rows = find();
  ASSERT_EQ(rows.size(), kMaxDuplicates);
  EXPECT_EQ(
      std::count_if(rows.begin(), rows.end(), [](const DuplicateRow& r) { return r.count == 4; }),
      300);
}

TEST_F(Duplicates, AgreeWithAPlainCountOfRandomTexts) {
  std::mt19937_64 random(7);
  std::map<std::string, uint64_t> counts;
  for (int i = 0; i < 30000; ++i) {
    std::string text(8 + random() % 40, 'a');
    // Few letters at the end: many texts occur more than once.
    for (size_t n = text.size() - 3; n < text.size(); ++n) {
      text[n] = static_cast<char>('a' + random() % 16);
    }
    add(text);
    ++counts[text];
  }
  const auto rows = find();
  ASSERT_EQ(rows.size(), kMaxDuplicates);
  uint64_t least = ~uint64_t{0};
  for (const DuplicateRow& r : rows) {
    EXPECT_EQ(counts[r.text], r.count) << r.text;
    least = std::min(least, r.wasted);
    counts.erase(r.text);
  }
  // What was left out wastes no more: usable sizes are 24, 40, 56 for such texts.
  for (const auto& [text, count] : counts) {
    const uint64_t usable = std::max<uint64_t>(24, (text.size() + 1 + 8 + 15) / 16 * 16 - 8);
    EXPECT_LE((count - 1) * usable, least) << text;
  }
}

TEST_F(Duplicates, AreTheSameOnAnyNumberOfThreads) {
  for (int i = 0; i < 70000; ++i) add("text with the number " + std::to_string(i % 400), 40);
  const auto rows = find();
  ASSERT_EQ(rows.size(), 400U);
  for (const unsigned jobs : {1U, 3U, 8U}) {
    uint64_t dropped = 1;
    const auto again = find_duplicates(snapshot_, jobs, &dropped);
    EXPECT_EQ(dropped, 0U);
    ASSERT_EQ(again.size(), rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(again[i].text, rows[i].text);
      EXPECT_EQ(again[i].count, 175U);
      EXPECT_EQ(again[i].example, rows[i].example);
    }
  }
}

TEST_F(Duplicates, AreLeftOutOnRequest) {
  add("one and the same text");
  add("one and the same text");
  PipelineOptions options;
  options.wanted.duplicates = false;
  const Image image = process_.image();
  EXPECT_TRUE(analyze(image, {}, options).duplicates.empty());
}

// Two texts of 16 characters with one hash: the second half undoes what differs in the first.
std::pair<std::string, std::string> texts_of_one_hash() {
  constexpr uint64_t kFactor = 0x9e3779b97f4a7c15;  // as in text_hash()
  const auto after = [&](uint64_t word) {
    const uint64_t h = (16 * kFactor ^ word) * kFactor;
    return h ^ h >> 29;
  };
  std::mt19937_64 random(3);
  const auto word = [&] {
    uint64_t w = 0;
    for (int i = 0; i < 8; ++i) w = w << 8 | ('a' + random() % 26);
    return w;
  };
  const auto text_of = [](uint64_t a, uint64_t b) {
    std::string text(16, '\0');
    std::memcpy(text.data(), &a, 8);
    std::memcpy(text.data() + 8, &b, 8);
    return text;
  };
  const uint64_t first = word(), second = word();
  for (;;) {
    const uint64_t other = word();
    const uint64_t rest = second ^ after(first) ^ after(other);
    const std::string text = text_of(other, rest);
    const auto is_text = [](char c) { return c >= ' ' && c < 127; };
    if (std::all_of(text.begin(), text.end(), is_text)) return {text_of(first, second), text};
  }
}

TEST_F(Duplicates, TextsOfOneHashAreToldApart) {
  const auto [a, b] = texts_of_one_hash();
  ASSERT_NE(a, b);
  ASSERT_EQ(text_hash(std::as_bytes(std::span(a))), text_hash(std::as_bytes(std::span(b))));
  for (const auto* text : {&a, &b, &b, &a, &a, &b, &a, &b, &b}) add(*text);
  const auto rows = find();
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].text, a);
  EXPECT_EQ(rows[0].count, 4U);
  EXPECT_EQ(rows[0].bytes, 4 * 24U);
}

TEST_F(Duplicates, OfAHeapThatIsCutAreThoseThatAreThere) {
  for (int i = 0; i < 100; ++i) add("a text of some length, for the dump to be cut in");
  const uint64_t base = heap_.heap_address(GlibcHeapBuilder::kMain, 0);
  heap_.finish();
  process_.memory().drop(base + 0x1000, process_.memory().end_of_mapping(base) - base - 0x1000);
  const auto rows = find();
  for (const DuplicateRow& r : rows) EXPECT_LT(r.count, 100U);
}

}  // namespace
}  // namespace residue
