// A process of which it is known by construction what each variable keeps alive.
//
// Prints `key=value` lines, bytes being what malloc_usable_size() says, then READY, and waits.
// Compiled without optimisation, so that the local variable is where its debug information says.
#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace shop {

struct Session {
  explicit Session(int number)
      : id(number), name(40, 's'), samples(static_cast<size_t>(50 + number % 3)) {}
  virtual ~Session() = default;

  int id;
  std::string name;
  std::vector<int> samples;
};

struct Item {
  Item* next;
  char* payload;
};

// Two variables hold one buffer, and each one of its own.
struct Pair {
  char* shared;
  char* own;
};

std::map<int, std::unique_ptr<Session>> sessions;
Item* list = nullptr;
char** payload_table = nullptr;  // refers to every payload of the list as well
Pair left, right;
Session* lost = nullptr;

unsigned long used(const void* chunk) { return malloc_usable_size(const_cast<void*>(chunk)); }

unsigned long used(const Session& session) {
  return used(&session) + used(session.name.data()) + used(session.samples.data());
}

// A node of std::map begins 32 bytes (colour, parent, left, right) before its value.
[[gnu::noinline]] unsigned long fill_sessions(int count) {
  unsigned long bytes = 0;
  for (int i = 0; i < count; ++i) {
    const auto place = sessions.emplace(i, std::make_unique<Session>(i)).first;
    bytes += used(*place->second) + used(reinterpret_cast<char*>(&*place) - 32);
  }
  return bytes;
}

[[gnu::noinline]] void fill_list(int count, unsigned long* nodes, unsigned long* payloads) {
  payload_table = static_cast<char**>(std::calloc(static_cast<size_t>(count), sizeof(char*)));
  for (int i = 0; i < count; ++i) {
    auto* item = static_cast<Item*>(std::malloc(sizeof(Item)));
    item->next = list;
    item->payload = static_cast<char*>(std::calloc(1, 100));
    payload_table[i] = item->payload;
    *nodes += used(item);
    *payloads += used(item->payload);
    list = item;
  }
}

[[gnu::noinline]] void fill_pairs() {
  left.shared = right.shared = static_cast<char*>(std::calloc(1, 30000));
  left.own = static_cast<char*>(std::calloc(1, 2000));
  right.own = static_cast<char*>(std::calloc(1, 3000));
}

// Leaves nothing of the work above on the stack.
[[gnu::noinline]] void scrub_stack() {
  char space[64 * 1024];
  std::memset(space, 0, sizeof space);
  asm volatile("" : : "r"(space) : "memory");
}

void say(const char* key, unsigned long value) { std::printf("%s=%lu\n", key, value); }

// In a frame of its own: without optimisation every temporary has a slot in its function's.
[[gnu::noinline]] void lose_session() {
  lost = new Session(1);
  say("lost.bytes", used(*lost));
  lost = nullptr;
}

void run(int count) {
  unsigned long nodes = 0;
  unsigned long payloads = 0;
  say("count", static_cast<unsigned long>(count));
  say("sessions.bytes", fill_sessions(count));
  fill_list(count, &nodes, &payloads);
  fill_pairs();
  char* local_buffer = static_cast<char*>(std::calloc(1, 5000));
  say("list.bytes", nodes);
  say("table.bytes", used(payload_table));
  say("payloads.bytes", payloads);
  say("shared.bytes", used(left.shared));
  say("left.bytes", used(left.own));
  say("right.bytes", used(right.own));
  say("local.bytes", used(local_buffer));
  lose_session();
  scrub_stack();
  std::printf("READY\n");
  std::fflush(stdout);
  std::getchar();
  std::free(local_buffer);
}

}  // namespace shop

int main(int argc, char** argv) { shop::run(argc > 1 ? std::atoi(argv[1]) : 1000); }
