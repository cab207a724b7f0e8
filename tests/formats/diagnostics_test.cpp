#include "formats/base/diagnostics.h"

#include "gtest/gtest.h"

namespace residue {
namespace {

void add_many(Diagnostics* diagnostics, size_t n, Severity severity, const std::string& message) {
  for (size_t i = 0; i < n; ++i) {
    diagnostics->add(severity, "stage", std::to_string(i), 1, message);
  }
}

TEST(Diagnostics, KeepsWhatItIsTold) {
  Diagnostics diagnostics;
  EXPECT_TRUE(diagnostics.items().empty());
  EXPECT_FALSE(diagnostics.has_damage());
  diagnostics.add(Severity::kDamage, "elf-core", "0x40", 16, "note is cut off");
  ASSERT_EQ(diagnostics.items().size(), 1U);
  const Diagnostic& item = diagnostics.items()[0];
  EXPECT_EQ(item.severity, Severity::kDamage);
  EXPECT_EQ(item.stage, "elf-core");
  EXPECT_EQ(item.place, "0x40");
  EXPECT_EQ(item.bytes, 16U);
  EXPECT_EQ(item.message, "note is cut off");
}

TEST(Diagnostics, OnlyDamageIsDamage) {
  Diagnostics diagnostics;
  diagnostics.add(Severity::kNote, "s", "", 0, "a");
  diagnostics.add(Severity::kWarning, "s", "", 0, "b");
  EXPECT_FALSE(diagnostics.has_damage());
  diagnostics.add(Severity::kDamage, "s", "", 0, "c");
  EXPECT_TRUE(diagnostics.has_damage());
}

TEST(Diagnostics, CountsRepetitionsBehindTheCap) {
  Diagnostics diagnostics;
  add_many(&diagnostics, Diagnostics::kMaxEach, Severity::kWarning, "same");
  EXPECT_EQ(diagnostics.dropped(), 0U);
  add_many(&diagnostics, 5, Severity::kWarning, "same");
  EXPECT_EQ(diagnostics.items().size(), Diagnostics::kMaxEach);
  EXPECT_EQ(diagnostics.dropped(), 5U);
}

TEST(Diagnostics, CapsEachStageAndMessageApart) {
  Diagnostics diagnostics;
  add_many(&diagnostics, 100, Severity::kWarning, "one");
  add_many(&diagnostics, 100, Severity::kWarning, "two");
  diagnostics.add(Severity::kWarning, "another stage", "", 0, "one");
  EXPECT_EQ(diagnostics.items().size(), 2 * Diagnostics::kMaxEach + 1);
  EXPECT_EQ(diagnostics.dropped(), 2 * (100 - Diagnostics::kMaxEach));
}

TEST(Diagnostics, AppendKeepsOrderCapAndDamage) {
  Diagnostics first, second;
  add_many(&first, 15, Severity::kWarning, "same");
  add_many(&second, 15, Severity::kDamage, "same");
  first.append(second);
  EXPECT_TRUE(first.has_damage());
  EXPECT_EQ(first.items().size(), Diagnostics::kMaxEach);
  EXPECT_EQ(first.items().size() + first.dropped(), 30U);
  EXPECT_EQ(first.items()[14].severity, Severity::kWarning);
  EXPECT_EQ(first.items()[15].severity, Severity::kDamage);
}

TEST(Diagnostics, AppendLosesNoCountOfTheDropped) {
  Diagnostics first, second;
  add_many(&second, Diagnostics::kMaxEach + 7, Severity::kWarning, "same");
  first.append(second);
  EXPECT_EQ(first.items().size(), Diagnostics::kMaxEach);
  EXPECT_EQ(first.dropped(), 7U);
}

TEST(Diagnostics, DamageBeyondTheCapIsStillDamage) {
  Diagnostics diagnostics;
  add_many(&diagnostics, Diagnostics::kMaxEach, Severity::kWarning, "same");
  add_many(&diagnostics, 1, Severity::kDamage, "same");
  EXPECT_TRUE(diagnostics.has_damage());
}

TEST(Severity, HasNames) {
  EXPECT_STREQ(to_string(Severity::kNote), "note");
  EXPECT_STREQ(to_string(Severity::kWarning), "warning");
  EXPECT_STREQ(to_string(Severity::kDamage), "damage");
}

}  // namespace
}  // namespace residue
