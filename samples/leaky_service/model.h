// The classes leaky_service keeps on its heap, and the sizes and periods of its planned leaks.
//
// Sizes are chosen, not arbitrary. glibc rounds a request up so that usable = 8 (mod 16); every
// size here already is 8 (mod 16) on LP64, so that no block has a spare word at its end in which
// a pointer of the block's former life could survive and keep some leaked block "reachable".
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace service {

// Requests are numbered from 1; a request whose number is a multiple of the period takes the
// path named. After T requests in all, that path was taken floor(T / period) times.
inline constexpr std::uint64_t kSessionLeakPeriod = 4;
inline constexpr std::uint64_t kCachePeriod = 5;
inline constexpr std::uint64_t kCycleLeakPeriod = 16;
inline constexpr std::uint64_t kUploadLeakPeriod = 20;

inline constexpr std::uint64_t kWorkers = 4;
inline constexpr std::uint64_t kForgottenThreadsPerPhase = 8;

inline constexpr std::uint64_t kSessionNameBytes = 56;  // 55 characters and the terminator
inline constexpr std::uint64_t kSessionItems = 30;      // 120 bytes
inline constexpr std::uint64_t kCacheBodyBytes = 200;   // 199 characters and the terminator
inline constexpr std::uint64_t kUploadBytes = 4088;
inline constexpr std::uint64_t kForgottenBufferBytes = 20008;
inline constexpr std::uint64_t kRequestBufferBytes = 16376;
inline constexpr std::uint64_t kActiveSlots = 61;  // the slot array is 488 bytes

inline constexpr std::uint64_t kGeoShardBytes = 512 * 1024;   // leaked, mmapped, one a phase
inline constexpr std::uint64_t kGeoTableBytes = 1024 * 1024;  // live, mmapped
inline constexpr std::uint64_t kDmaWindowBytes = 256 * 1024;  // live, mmapped, aligned
inline constexpr std::uint64_t kDmaWindowAlignment = 1024 * 1024;
inline constexpr std::uint64_t kStartupImageBytes = 160 * 1024;  // mmapped, freed at once

// What a Session answers: plain data, no vtable, so its type can only come from its owner.
struct Request {
  std::uint64_t id;
  std::uint64_t bytes_received;
  std::uint32_t method;
  std::uint32_t status;
};

// One Session is a cluster of four chunks: itself, name's text, items' array, the Request.
class Session {
 public:
  explicit Session(std::uint64_t id);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  virtual ~Session();
  virtual std::uint64_t weight() const;

 private:
  std::uint64_t id_;
  std::uint64_t created_at_;
  std::string name_;
  std::vector<std::uint32_t> items_;
  std::unique_ptr<Request> request_;
};

class Subscriber;

// Publisher and Subscriber point at each other and at nothing else.
class Publisher {
 public:
  explicit Publisher(std::uint64_t id);
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  virtual ~Publisher();
  void attach(Subscriber* subscriber) { subscriber_ = subscriber; }

 private:
  Subscriber* subscriber_ = nullptr;
  std::uint64_t id_;
  char topic_[32];
};

class Subscriber {
 public:
  Subscriber(std::uint64_t id, Publisher* publisher);
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
  virtual ~Subscriber();
  virtual std::uint64_t delivered() const;

 private:
  Publisher* publisher_;
  std::uint64_t id_;
  std::uint64_t delivered_[2];
};

struct CachedResponse {
  explicit CachedResponse(std::uint64_t request);
  std::string body;
  std::uint64_t hits;
};

// libstdc++'s node of unordered_map<uint64_t, CachedResponse>: next, key, value, no cached hash.
inline constexpr std::uint64_t kCacheNodeBytes =
    sizeof(void*) + sizeof(std::uint64_t) + sizeof(CachedResponse);

static_assert(sizeof(Request) == 24);
static_assert(sizeof(Session) == 88);
static_assert(sizeof(Publisher) == 56);
static_assert(sizeof(Subscriber) == 40);
static_assert(kCacheNodeBytes == 56);

}  // namespace service
