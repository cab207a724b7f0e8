// What tests of the database share: rows as text, a directory that goes away, running as nobody.
#pragma once

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "db/database.h"
#include "db/query.h"
#include "gtest/gtest.h"

namespace residue::testing {

// Keeps all rows; cells as text, NULL as "NULL", blobs as "blob".
class Rows final : public RowSink {
 public:
  void begin(std::span<const std::string> names) override {
    columns.assign(names.begin(), names.end());
    ++results;
  }
  bool row(std::span<const Cell> cells) override {
    std::vector<std::string> texts;
    for (const Cell& cell : cells) texts.push_back(text_of(cell));
    rows.push_back(std::move(texts));
    return true;
  }
  void end() override { ++ended; }

  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  int results = 0, ended = 0;

 private:
  static std::string text_of(const Cell& cell) {
    if (const auto* i = std::get_if<int64_t>(&cell)) return std::to_string(*i);
    if (const auto* d = std::get_if<double>(&cell)) return std::to_string(*d);
    if (const auto* t = std::get_if<std::string_view>(&cell)) return std::string(*t);
    return std::holds_alternative<std::monostate>(cell) ? "NULL" : "blob";
  }
};

// The rows of a query that must succeed.
inline std::vector<std::vector<std::string>> rows_of(Database& database, const std::string& sql) {
  Rows sink;
  const auto done = query(database, sql, sink);
  EXPECT_TRUE(done) << sql << ": " << (done ? "" : to_string(done.error()));
  return sink.rows;
}

// The only cell of a query that must succeed.
inline std::string value_of(Database& database, const std::string& sql) {
  const auto rows = rows_of(database, sql);
  return rows.size() == 1 && rows[0].size() == 1 ? rows[0][0] : "not one cell";
}

class TempDir {
 public:
  TempDir() {
    std::string pattern = ::testing::TempDir() + "residue-db-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    ::chmod(path_.c_str(), 0777);  // for as_nobody()
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  // Names of what is in it, sorted.
  std::vector<std::string> names() const {
    std::vector<std::string> list;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) {
      list.push_back(entry.path().filename());
    }
    std::sort(list.begin(), list.end());
    return list;
  }

 private:
  std::string path_;
};

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline Database open_or_die(const std::string& path, Database::Mode mode) {
  auto database = Database::open(path, mode);
  if (!database) {
    ADD_FAILURE() << to_string(database.error());
    std::abort();
  }
  return std::move(*database);
}

// Runs `work` in a process without root's privilege to ignore permissions; true if it returned
// true.
inline bool as_nobody(const std::function<bool()>& work) {
  constexpr uid_t kNobody = 65534;
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::setresuid(kNobody, kNobody, kNobody) != 0) ::_exit(2);
    ::_exit(work() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace residue::testing
