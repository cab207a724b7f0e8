// Containers that have shrunk: what only their spare capacity holds is lost.
#include <deque>
#include <vector>

#include "note.h"

namespace {

std::vector<void*> g_vector;
std::vector<void*> g_full;
std::deque<void*> g_deque;
thread_local std::vector<void*> t_vector;
// No vector, though it looks like one: every word counts.
struct Slice {
  void** begin;
  void** end;
  void** limit;
} g_slice;

NOINLINE void fill_globals() {
  static std::vector<void*> s_vector;
  for (const char* name : {"vector 0", "vector 1", "vector 2", "vector 3"}) {
    g_vector.push_back(block_named(name));
  }
  for (const char* name : {"full 0", "full 1", "full 2", "full 3"}) {
    g_full.push_back(block_named(name));
  }
  s_vector.reserve(8);
  s_vector.push_back(block_named("static 0"));
  s_vector.push_back(block_named("static 1"));
  s_vector.pop_back();
  t_vector.reserve(8);
  t_vector.push_back(block_named("thread's 0"));
  t_vector.push_back(block_named("thread's 1"));
  t_vector.pop_back();
  for (const char* name : {"deque 0", "deque 1", "deque 2"}) {
    g_deque.push_back(block_named(name));
  }
  g_vector.resize(2);
  g_deque.pop_front();
  g_deque.pop_back();
}

NOINLINE void fill_slice() {
  g_slice.begin = static_cast<void**>(calloc(64, sizeof(void*)));
  g_slice.end = g_slice.begin + 1;
  g_slice.limit = g_slice.begin + 64;
  g_slice.begin[0] = block_named("slice 0");
  g_slice.begin[1] = block_named("slice 1");
}

NOINLINE void fill_local(std::vector<void*>* local) {
  local->reserve(8);
  local->push_back(block_named("local 0"));
  local->push_back(block_named("local 1"));
  local->pop_back();
}

NOINLINE void with_local() {
  std::vector<void*> local;
  fill_local(&local);
  wait_for_the_test();
}

}  // namespace

int main() {
  fill_globals();
  fill_slice();
  scrub();
  with_local();
  _exit(0);
}
