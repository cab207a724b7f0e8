#include "model.h"

#include <cstdio>

namespace service {

namespace {

// libstdc++'s string keeps short texts in a buffer of 16 bytes inside itself. In a long string
// that buffer is not initialized and may show a pointer of the memory's former life, which would
// make leaks look reachable by chance. Starting from a text that fills it avoids that.
std::string filled_short_string() { return std::string(15, '.'); }

// Gives `name` exactly kSessionNameBytes - 1 characters: it then allocates that plus one, because
// a growing string takes what is asked for when that is more than twice what it has.
void set_session_name(std::string& name, std::uint64_t id) {
  char text[kSessionNameBytes];
  std::snprintf(text, sizeof text, "session/%020llu/customer/eu-central-1/%04u",
                static_cast<unsigned long long>(id), static_cast<unsigned>(id % 997));
  name.assign(text, kSessionNameBytes - 1);
}

}  // namespace

Session::Session(std::uint64_t id)
    : id_(id),
      created_at_(1'700'000'000 + id),
      name_(filled_short_string()),
      items_(kSessionItems, static_cast<std::uint32_t>(id)),
      request_(new Request{id, id * 3, 1, 200}) {
  set_session_name(name_, id);
}

Session::~Session() = default;

std::uint64_t Session::weight() const { return id_ + created_at_ + items_.size() + name_.size(); }

Publisher::Publisher(std::uint64_t id) : id_(id), topic_{} {
  std::snprintf(topic_, sizeof topic_, "topic-%llu", static_cast<unsigned long long>(id_));
}

Publisher::~Publisher() = default;

Subscriber::Subscriber(std::uint64_t id, Publisher* publisher)
    : publisher_(publisher), id_(id), delivered_{id, 0} {
  publisher_->attach(this);
}

Subscriber::~Subscriber() = default;

std::uint64_t Subscriber::delivered() const { return delivered_[0] + delivered_[1] + id_; }

CachedResponse::CachedResponse(std::uint64_t request) : body(filled_short_string()), hits(request) {
  body.assign(kCacheBodyBytes - 1, 'b');
}

}  // namespace service
