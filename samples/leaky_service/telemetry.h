// telemetry: a small tracing library, built as a shared object of its own.
//
// It exists so that a heap holds objects whose class, vtable and allocating code live in another
// module than the program's: a leak report has to name libtelemetry.so, not the executable.
//
// It leaks on purpose: record_request() forgets one Span out of kSpanLeakPeriod requests, which
// is what a missing `end()` on a rarely taken path looks like. Everything else it frees.
#pragma once

#include <cstdint>

namespace telemetry {

// Every request whose number is a multiple of this leaks one Span.
inline constexpr std::uint64_t kSpanLeakPeriod = 25;

// Bytes the exporter's outgoing buffer asks malloc for.
inline constexpr std::uint64_t kExportBufferBytes = 8184;

class Span {
 public:
  explicit Span(std::uint64_t request);
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  virtual ~Span();
  virtual void end(std::uint64_t at);
  [[nodiscard]] std::uint64_t duration() const { return ended_ - started_; }

 private:
  char name_[40];
  std::uint64_t request_;
  std::uint64_t started_;
  std::uint64_t ended_ = 0;
};

// Allocates the exporter, which the library keeps in a global until stop().
void start();
void stop();

// Traces one request; thread-safe. Returns the time the exporter has accounted for so far.
std::uint64_t record_request(std::uint64_t request);

// What the exporter asked malloc for in all (two chunks), so that the program can print it.
std::uint64_t exporter_bytes();

}  // namespace telemetry
