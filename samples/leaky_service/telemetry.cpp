#include "telemetry.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>

#include "scrub.h"

namespace telemetry {

namespace {

// Live state of the library: reachable through a global of libtelemetry.so.
struct Exporter {
  std::unique_ptr<char[]> buffer;
  std::uint64_t capacity;
  std::atomic<std::uint64_t> total;
};

Exporter* exporter = nullptr;

}  // namespace

Span::Span(std::uint64_t request) : name_{}, request_(request), started_(request * 10) {
  std::snprintf(name_, sizeof name_, "span/request/%020llu",
                static_cast<unsigned long long>(request));
}

Span::~Span() = default;

void Span::end(std::uint64_t at) { ended_ = at; }

void start() {
  exporter = new Exporter{std::make_unique<char[]>(kExportBufferBytes), kExportBufferBytes, {}};
}

void stop() {
  delete exporter;
  exporter = nullptr;
}

std::uint64_t exporter_bytes() { return sizeof(Exporter) + kExportBufferBytes; }

std::uint64_t record_request(std::uint64_t request) {
  auto* span = new Span(request);
  sample::keep(span);
  span->end(request * 10 + 7);
  const std::uint64_t duration = span->duration();
  if (request % kSpanLeakPeriod == 0) {
    return exporter->total.load();  // the planned leak: nobody deletes `span` on this path
  }
  delete span;
  return exporter->total.fetch_add(duration) + duration;
}

}  // namespace telemetry
