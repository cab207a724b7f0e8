// Types: classes by their vtables, and text.
#include <gtest/gtest.h>

#include "tests/analyzer/process_builder.h"
#include "tests/analyzer/snapshot_checks.h"

namespace residue {
namespace {

using test::ClassInfo;
using test::ProcessBuilder;
using test::type_of;

class TypesTest : public ::testing::Test {
 protected:
  uint64_t object(uint64_t size, uint64_t first_word) {
    const uint64_t user = process.heap().alloc(size);
    process.memory().put64(user, first_word);
    return user;
  }
  uint64_t text(const std::string& content) {
    const uint64_t user = process.heap().alloc(content.size() + 1);
    process.memory().put_text(user, content);
    return user;
  }
  ProcessBuilder process;
};

TEST_F(TypesTest, AVtableGivesTheClassItsDemangledNameAndModule) {
  const ClassInfo session = process.add_class("N3app7SessionE");
  const uint64_t user = object(64, session.primary);
  const Snapshot snapshot = process.analyze();
  const TypeRow* type = type_of(snapshot, user);
  ASSERT_NE(type, nullptr);
  EXPECT_EQ(type->name, "app::Session");
  EXPECT_EQ(type->module, "server");
  EXPECT_EQ(type->origin, "vtable");
  EXPECT_EQ(type->confidence, "exact");
}

TEST_F(TypesTest, TemplatesAreDemangled) {
  const ClassInfo info = process.add_class("5QueueIiE");
  const uint64_t user = object(64, info.primary);
  const Snapshot snapshot = process.analyze();
  ASSERT_NE(type_of(snapshot, user), nullptr);
  EXPECT_EQ(type_of(snapshot, user)->name, "Queue<int>");
}

TEST_F(TypesTest, AnInternalClassesNameIsReadBehindItsStar) {
  const ClassInfo info = process.add_class("*N12_GLOBAL__N_16WorkerE");
  const uint64_t user = object(64, info.primary);
  const Snapshot snapshot = process.analyze();
  ASSERT_NE(type_of(snapshot, user), nullptr);
  EXPECT_EQ(type_of(snapshot, user)->name, "(anonymous namespace)::Worker");
}

TEST_F(TypesTest, ObjectsOfOneClassShareOneRow) {
  const ClassInfo a = process.add_class("1A"), b = process.add_class("1B");
  const uint64_t first = object(64, a.primary), second = object(200, a.primary);
  const uint64_t other = object(64, b.primary);
  const Snapshot snapshot = process.analyze();
  ASSERT_NE(type_of(snapshot, first), nullptr);
  EXPECT_EQ(type_of(snapshot, first), type_of(snapshot, second));
  EXPECT_NE(type_of(snapshot, first), type_of(snapshot, other));
}

TEST_F(TypesTest, WithoutThePageOfNamesAClassIsStillAClass) {
  const ClassInfo session = process.add_class("7Session");
  const uint64_t user = object(64, session.primary), second = object(64, session.primary);
  process.memory().drop(process.names_page(), 0x1000);
  const Snapshot snapshot = process.analyze();
  const TypeRow* type = type_of(snapshot, user);
  ASSERT_NE(type, nullptr);
  EXPECT_EQ(type->origin, "vtable");
  EXPECT_EQ(type->confidence, "derived");
  EXPECT_EQ(type->module, "server");
  EXPECT_FALSE(type->name.empty());
  EXPECT_EQ(type, type_of(snapshot, second));
}

TEST_F(TypesTest, APointerToAFunctionIsNoVtable) {
  const ClassInfo session = process.add_class("7Session");
  const uint64_t function = process.memory().get64(session.primary);
  const uint64_t user = object(64, function);
  EXPECT_EQ(type_of(process.analyze(), user), nullptr);
}

TEST_F(TypesTest, APointerIntoTheMiddleOfAVtableIsNone) {
  const ClassInfo session = process.add_class("7Session");
  const uint64_t user = object(64, session.primary + 8);
  EXPECT_EQ(type_of(process.analyze(), user), nullptr);
}

TEST_F(TypesTest, APointerToWritableDataIsNoVtable) {
  const uint64_t user = object(64, process.global(8) + 16);
  EXPECT_EQ(type_of(process.analyze(), user), nullptr);
}

TEST_F(TypesTest, TextIsRecognised) {
  const uint64_t user = text("GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n");
  const Snapshot snapshot = process.analyze();
  const TypeRow* type = type_of(snapshot, user);
  ASSERT_NE(type, nullptr);
  EXPECT_EQ(type->origin, "string");
  EXPECT_EQ(type->confidence, "text");
}

TEST_F(TypesTest, APointerWhoseBytesArePrintableIsNoText) {
  // 0x5655…: a heap pointer of a PIE can be six printable bytes and two zeros.
  const uint64_t user = process.heap().alloc(24);
  const uint64_t target = process.heap().alloc(24);
  process.memory().put64(user, target);
  EXPECT_EQ(type_of(process.analyze(), user), nullptr);
}

TEST_F(TypesTest, ZeroesAndNumbersHaveNoType) {
  const uint64_t zeroes = process.heap().alloc(200);
  const uint64_t numbers = process.heap().alloc(200);
  for (uint64_t i = 0; i < 25; ++i) process.memory().put64(numbers + 8 * i, i * 0x0101);
  const Snapshot snapshot = process.analyze();
  EXPECT_EQ(type_of(snapshot, zeroes), nullptr);
  EXPECT_EQ(type_of(snapshot, numbers), nullptr);
}

TEST_F(TypesTest, FreedObjectsHaveNoType) {
  const ClassInfo session = process.add_class("7Session");
  const uint64_t user = object(600, session.primary);
  process.heap().alloc(24);
  process.heap().free_to_fastbin(object(64, session.primary));
  process.heap().free_to_unsorted(user);
  EXPECT_EQ(type_of(process.analyze(), user), nullptr);
}

}  // namespace
}  // namespace residue
