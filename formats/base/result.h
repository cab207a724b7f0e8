// Result<T>: a value, or an Error that says what is wrong and where in the file.
//
// The member names are those of std::expected (absent from C++20), so that it can replace this type
// one day. The lowest reader sets the file offset; each layer above adds what it was doing with
// in(). Use an Error only when nothing can be produced: where something still can, report the loss
// to Diagnostics and go on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "formats/base/address.h"

namespace residue {

// Named for what the caller can do about it.
enum class ErrorCode : uint8_t {
  kTruncated,    // the bytes end before the record does
  kCorrupt,      // the bytes contradict the format
  kUnsupported,  // a valid file of a kind that is not handled
  kNotMapped,    // the address is not in the dump
  kNotFound,     // the named thing does not exist
  kUsage,        // the request itself makes no sense
  kIo,           // the operating system refused
  kNoSpace,      // this machine lacks the space it takes; elsewhere it may go well
  kInternal,     // a bug of ours
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  std::optional<FileOffset> offset;

  // Prefixes what was being done when this happened, and passes the error on.
  Error in(const std::string& doing) && {
    message = doing + ": " + message;
    return std::move(*this);
  }
};

// "what is wrong (at file offset 0x…)"
std::string to_string(const Error& error);

template <typename T>
class [[nodiscard]] Result {
 public:
  // Implicit on purpose: a function returns its value or its error as it is.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  // REQUIRES: has_value()
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  // REQUIRES: !has_value()
  Error& error() & { return std::get<1>(state_); }
  const Error& error() const& { return std::get<1>(state_); }
  Error&& error() && { return std::get<1>(std::move(state_)); }
  T value_or(T fallback) const& { return has_value() ? value() : std::move(fallback); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

 private:
  std::optional<Error> error_;
};

}  // namespace residue

#define RESIDUE_CONCAT_(a, b) a##b
#define RESIDUE_CONCAT(a, b) RESIDUE_CONCAT_(a, b)

// RESIDUE_TRY(expression): returns the error of a Result<...>, if there is one.
#define RESIDUE_TRY(expression)                          \
  do {                                                   \
    if (auto residue_try = (expression); !residue_try) { \
      return std::move(residue_try).error();             \
    }                                                    \
  } while (false)

// RESIDUE_ASSIGN(auto x, expression): binds the value, or returns the error.
#define RESIDUE_ASSIGN(declaration, expression) \
  RESIDUE_ASSIGN_(RESIDUE_CONCAT(residue_result_, __LINE__), declaration, expression)
#define RESIDUE_ASSIGN_(result, declaration, expression) \
  auto result = (expression);                            \
  if (!result) return std::move(result).error();         \
  declaration = std::move(result).value()
