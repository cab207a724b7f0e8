// leaky_service: a small multi-threaded service that leaks in exactly countable ways.
//
//   leaky_service [REQUESTS_PER_PHASE [PHASES]]        (defaults: 10000 and 2)
//
// Each phase serves the next REQUESTS_PER_PHASE requests on four workers, prints what the heap
// must hold by now as `key=value` lines, prints `READY phase=N` and waits for a line on stdin
// (end of file counts as one), with every worker parked. A core taken then has known contents.
// ../README.md has the formulas; model.h has the classes and sizes.

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "model.h"
#include "phase_gate.h"
#include "scrub.h"
#include "telemetry.h"

namespace service {

// The owners of everything that is alive while the service is parked, together with
// telemetry::exporter and the workers' stacks.
std::unordered_map<std::uint64_t, CachedResponse> response_cache;  // grows, never evicts
std::vector<std::unique_ptr<Session>> active_sessions;
std::vector<std::uint32_t> geo_table;
void* dma_window = nullptr;

namespace {

std::mutex cache_mutex;
std::mutex sessions_mutex;
std::atomic<std::uint64_t> next_request{0};  // the last request number handed out
std::uint64_t last_request = 0;              // of the phase; written while workers are parked
PhaseGate gate(kWorkers);

// ---- The planned leaks: each is a function that has returned before the service parks. --------

[[gnu::noinline]] void open_session_and_forget(std::uint64_t id) {
  auto* session = new Session(id);
  sample::keep(session);
}

[[gnu::noinline]] void subscribe_and_forget(std::uint64_t id) {
  auto* publisher = new Publisher(id);
  auto* subscriber = new Subscriber(id, publisher);
  sample::keep(subscriber);
}

// The C way: the error path returns and loses the buffer.
[[gnu::noinline]] int receive_upload(std::uint64_t id) {
  auto* upload = static_cast<char*>(std::malloc(kUploadBytes));
  if (upload == nullptr) return -1;
  sample::keep(upload);
  std::memset(upload, 'u', kUploadBytes);
  std::snprintf(upload, 64, "upload of request %llu", static_cast<unsigned long long>(id));
  if (upload[0] == 'u') return -1;  // always "malformed"
  std::free(upload);
  return 0;
}

// A thread that dies without handing over what it allocated.
[[gnu::noinline]] void fill_forgotten_buffer(unsigned char content) {
  void* buffer = std::malloc(kForgottenBufferBytes);
  if (buffer == nullptr) return;
  std::memset(buffer, content, kForgottenBufferBytes);
  sample::keep(buffer);
}

void forgotten_thread(unsigned char content) {
  fill_forgotten_buffer(content);
  sample::scrub_stale_pointers();  // glibc caches a dead thread's stack: leave nothing there
}

[[gnu::noinline]] void load_geo_shard(std::uint64_t phase) {
  void* shard = std::malloc(kGeoShardBytes);
  if (shard == nullptr) return;
  std::memset(shard, static_cast<int>(phase % 100 + 1), kGeoShardBytes);
  sample::keep(shard);
}

// ---- What the service keeps, and what it frees. -----------------------------------------------

// Sessions that are not forgotten sit in a ring; the one displaced is freed, usually by another
// thread than its maker, so that tcaches hold chunks of foreign arenas.
[[gnu::noinline]] void open_session(std::uint64_t id) {
  auto session = std::make_unique<Session>(id);
  const std::scoped_lock lock(sessions_mutex);
  active_sessions[id % kActiveSlots].swap(session);
}

[[gnu::noinline]] void cache_response(std::uint64_t id) {
  const std::scoped_lock lock(cache_mutex);
  response_cache.try_emplace(id, id);
}

// Short-lived blocks of many sizes, freed in another order than they were made: these fill
// tcaches, fastbins, small and large bins, and leave holes between the leaked blocks.
[[gnu::noinline]] void churn(std::uint64_t id) {
  constexpr std::size_t kBlocks = 12;
  void* blocks[kBlocks];
  for (std::size_t i = 0; i < kBlocks; ++i) {
    const std::size_t bytes = 24 + (id * 37 + i * i * 61) % 2900;
    blocks[i] = std::malloc(bytes);
    if (blocks[i] != nullptr) std::memset(blocks[i], 0, bytes);
    sample::keep(blocks[i]);
  }
  for (std::size_t i = 0; i < kBlocks; ++i) std::free(blocks[(i * 5 + id) % kBlocks]);
}

[[gnu::noinline]] void handle_request(std::uint64_t id) {
  churn(id);
  telemetry::record_request(id);
  if (id % kSessionLeakPeriod == 0) {
    open_session_and_forget(id);
  } else {
    open_session(id);
  }
  if (id % kCachePeriod == 0) cache_response(id);
  if (id % kCycleLeakPeriod == 0) subscribe_and_forget(id);
  if (id % kUploadLeakPeriod == 0) (void)receive_upload(id);
}

[[gnu::noinline]] void serve_requests() {
  for (;;) {
    const std::uint64_t id = next_request.fetch_add(1) + 1;
    if (id > last_request) return;
    handle_request(id);
  }
}

void worker() {
  // Reachable only from this frame while the worker is parked; volatile keeps it in memory.
  void* volatile request_buffer = std::malloc(kRequestBufferBytes);
  if (request_buffer != nullptr) std::memset(request_buffer, 'r', kRequestBufferBytes);
  while (gate.wait_for_phase()) {
    serve_requests();
    sample::scrub_stale_pointers();
    gate.report_done();
  }
  std::free(request_buffer);
}

[[gnu::noinline]] void run_forgotten_threads() {
  std::vector<std::thread> threads;
  threads.reserve(kForgottenThreadsPerPhase);
  for (std::uint64_t i = 0; i < kForgottenThreadsPerPhase; ++i) {
    threads.emplace_back(forgotten_thread, static_cast<unsigned char>('A' + i));
  }
  for (std::thread& thread : threads) thread.join();
}

// A big block freed at once: glibc answers by raising its mmap threshold to this size, which an
// analyser must not take for a constant. The blocks made later are larger, hence still mmapped.
[[gnu::noinline]] void load_startup_image() {
  void* image = std::malloc(kStartupImageBytes);
  if (image == nullptr) return;
  std::memset(image, 1, kStartupImageBytes);
  sample::keep(image);
  std::free(image);
}

[[gnu::noinline]] bool set_up() {
  load_startup_image();
  telemetry::start();
  active_sessions.resize(kActiveSlots);
  geo_table.assign(kGeoTableBytes / sizeof(std::uint32_t), 7);
  if (posix_memalign(&dma_window, kDmaWindowAlignment, kDmaWindowBytes) != 0) return false;
  std::memset(dma_window, 'd', kDmaWindowBytes);
  return true;
}

// ---- The expected numbers. --------------------------------------------------------------------

struct Totals {
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;
};

void print_kind(const char* group, const char* name, std::uint64_t objects,
                std::uint64_t chunks_each, std::uint64_t bytes_each, Totals& totals) {
  const Totals kind{objects * chunks_each, objects * bytes_each};
  std::printf("%s.%s.objects=%llu\n", group, name, static_cast<unsigned long long>(objects));
  std::printf("%s.%s.chunks=%llu\n", group, name, static_cast<unsigned long long>(kind.chunks));
  std::printf("%s.%s.bytes=%llu\n", group, name, static_cast<unsigned long long>(kind.bytes));
  totals.chunks += kind.chunks;
  totals.bytes += kind.bytes;
}

void print_totals(const char* group, const Totals& totals) {
  std::printf("%s.total.chunks=%llu\n", group, static_cast<unsigned long long>(totals.chunks));
  std::printf("%s.total.bytes=%llu\n", group, static_cast<unsigned long long>(totals.bytes));
}

constexpr std::uint64_t kSessionClusterBytes =
    sizeof(Session) + kSessionNameBytes + kSessionItems * sizeof(std::uint32_t) + sizeof(Request);

void print_leaks(std::uint64_t requests, std::uint64_t phase) {
  Totals totals;
  print_kind("leak", "session", requests / kSessionLeakPeriod, 4, kSessionClusterBytes, totals);
  print_kind("leak", "cycle", requests / kCycleLeakPeriod, 2,
             sizeof(Publisher) + sizeof(Subscriber), totals);
  print_kind("leak", "upload", requests / kUploadLeakPeriod, 1, kUploadBytes, totals);
  print_kind("leak", "span", requests / telemetry::kSpanLeakPeriod, 1, sizeof(telemetry::Span),
             totals);
  print_kind("leak", "thread_buffer", phase * kForgottenThreadsPerPhase, 1, kForgottenBufferBytes,
             totals);
  print_kind("leak", "geo_shard", phase, 1, kGeoShardBytes, totals);
  print_totals("leak", totals);
}

// Live blocks the service itself knows of; the C++ runtime, stdio and threads own a few more.
void print_live() {
  Totals totals;
  std::uint64_t active = 0;
  for (const auto& session : active_sessions) active += session != nullptr ? 1 : 0;
  print_kind("live", "cache_entry", response_cache.size(), 2, kCacheNodeBytes + kCacheBodyBytes,
             totals);
  // An empty map uses its one built-in bucket; the array appears with the first insertion.
  print_kind("live", "cache_buckets", response_cache.empty() ? 0 : 1, 1,
             response_cache.bucket_count() * sizeof(void*), totals);
  print_kind("live", "session", active, 4, kSessionClusterBytes, totals);
  print_kind("live", "session_slots", 1, 1, kActiveSlots * sizeof(void*), totals);
  print_kind("live", "request_buffer", kWorkers, 1, kRequestBufferBytes, totals);
  print_kind("live", "exporter", 1, 2, telemetry::exporter_bytes(), totals);
  print_kind("live", "geo_table", 1, 1, kGeoTableBytes, totals);
  print_kind("live", "dma_window", 1, 1, kDmaWindowBytes, totals);
  print_totals("live", totals);
}

[[gnu::noinline]] void run_phase(std::uint64_t phase, std::uint64_t requests_per_phase) {
  const std::uint64_t total = phase * requests_per_phase;
  next_request = total - requests_per_phase;
  last_request = total;
  gate.open_phase();
  run_forgotten_threads();
  load_geo_shard(phase);
  gate.wait_until_done();
  std::printf("phase=%llu\n", static_cast<unsigned long long>(phase));
  std::printf("requests=%llu\n", static_cast<unsigned long long>(total));
  print_leaks(total, phase);
  print_live();
}

void wait_for_a_line(std::uint64_t phase) {
  std::printf("READY phase=%llu\n", static_cast<unsigned long long>(phase));
  std::fflush(stdout);
  for (int c = std::getchar(); c != '\n' && c != EOF;) c = std::getchar();
}

int run(std::uint64_t requests_per_phase, std::uint64_t phases) {
  if (!set_up()) return 1;
  std::vector<std::thread> workers;
  workers.reserve(kWorkers);
  for (std::uint64_t i = 0; i < kWorkers; ++i) workers.emplace_back(worker);
  for (std::uint64_t phase = 1; phase <= phases; ++phase) {
    run_phase(phase, requests_per_phase);
    sample::scrub_stale_pointers();
    wait_for_a_line(phase);
  }
  gate.close();
  for (std::thread& thread : workers) thread.join();
  std::free(dma_window);
  telemetry::stop();
  return 0;
}

}  // namespace
}  // namespace service

// stdio takes its buffers from the heap, and nobody clears them: old pointers in recycled memory
// would keep a leak alive by chance.
char input_buffer[4096];
char output_buffer[4096];

int main(int argc, char** argv) {
  std::setvbuf(stdin, input_buffer, _IOFBF, sizeof input_buffer);
  std::setvbuf(stdout, output_buffer, _IOLBF, sizeof output_buffer);
  std::uint64_t numbers[2] = {10000, 2};
  for (int i = 1; i < argc; ++i) {
    char* end = nullptr;
    const unsigned long long value = i <= 2 ? std::strtoull(argv[i], &end, 10) : 0;
    if (value == 0 || *end != '\0' || value > 100'000'000) {
      std::fprintf(stderr, "usage: leaky_service [REQUESTS_PER_PHASE [PHASES]]\n");
      return 2;
    }
    numbers[i - 1] = value;
  }
  return service::run(numbers[0], numbers[1]);
}
