// A heap as a service has it that keeps its sessions in a map and forgets some of them.
//
// One session is five chunks of 416 bytes together: the map's node, the session, its name, its
// samples and its request. Every other session is dropped by overwriting the only pointer to it,
// the one in the map's node: four chunks leak, the node stays. So two fifths of the chunks are
// leaked, each leak is a cluster of four with one head, and chunks follow each other in memory in
// the order in which they were made.

#include <malloc.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "heap_maker.h"

namespace residue::bench {
namespace {

constexpr std::uint64_t kChunksPerSession = 5;
constexpr std::uint64_t kDropEvery = 2;
constexpr std::size_t kNameLength = 40;
constexpr std::size_t kSamples = 24;

struct Request {
  explicit Request(std::uint64_t number) : sequence(number) {}
  virtual ~Request() = default;

  std::uint64_t sequence;
  std::uint64_t timings[6] = {};
};

struct Session {
  explicit Session(std::uint64_t number)
      : id(number), name(kNameLength, 's'), samples(kSamples, static_cast<int>(number % 1000)) {
    request = std::make_unique<Request>(number);
  }
  virtual ~Session() = default;

  std::uint64_t id;
  std::string name;
  std::vector<int> samples;
  std::unique_ptr<Request> request;
};

std::map<std::uint64_t, Session*> g_sessions;

std::uint64_t usable_bytes(const Session& session) {
  return malloc_usable_size(const_cast<Session*>(&session)) +
         malloc_usable_size(const_cast<char*>(session.name.data())) +
         malloc_usable_size(const_cast<int*>(session.samples.data())) +
         malloc_usable_size(session.request.get());
}

// The node of a std::map begins 32 bytes (colour, parent, left, right) before the value it holds.
std::uint64_t node_bytes(std::pair<const std::uint64_t, Session*>& value) {
  constexpr std::size_t kNodeHeader = 32;
  return malloc_usable_size(static_cast<char*>(static_cast<void*>(&value)) - kNodeHeader);
}

[[gnu::noinline]] Truth add_sessions(std::uint64_t count) {
  Truth truth;
  for (std::uint64_t id = 0; id < count; ++id) {
    const auto place = g_sessions.emplace_hint(g_sessions.end(), id, new Session(id));
    truth.used_chunks += kChunksPerSession;
    truth.used_bytes += usable_bytes(*place->second) + node_bytes(*place);
  }
  return truth;
}

[[gnu::noinline]] void drop_sessions(Truth& truth) {
  for (auto& [id, session] : g_sessions) {
    if (id % kDropEvery != 0) continue;
    truth.leaked_chunks += kChunksPerSession - 1;
    truth.leaked_bytes += usable_bytes(*session);
    session = nullptr;
  }
}

}  // namespace

Truth make_regular_heap(std::uint64_t chunks) {
  Truth truth = add_sessions(chunks / kChunksPerSession);
  drop_sessions(truth);
  return truth;
}

}  // namespace residue::bench
