// Leaks of several types, some of which hold on to each other, for suppressions_test.py: built once
// as it is and once with LeakSanitizer, which is asked for the same verdict.
//
// Every object is allocated by a function of its own, so that LeakSanitizer's rules by function and
// ours by type can name the same objects. All sizes are 8 (mod 16): what malloc gives is what was
// asked for, and bytes can be compared too.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define NOINLINE __attribute__((noinline))

#ifdef EMBEDDED
extern "C" const char* __lsan_default_suppressions();
#if EMBEDDED == 1
extern "C" const char* __lsan_default_suppressions() { return EMBEDDED_TEXT; }
#elif EMBEDDED == 2
const char* embedded_text = EMBEDDED_TEXT;
extern "C" const char* __lsan_default_suppressions() { return embedded_text; }
#else
extern "C" const char* __lsan_default_suppressions() {
  static char text[200];
  std::snprintf(text, sizeof text, "%s", EMBEDDED_TEXT);
  return text;
}
#endif
#endif

struct Node {
  Node* a = nullptr;
  Node* b = nullptr;
  void* c = nullptr;
  virtual ~Node() = default;
};
struct Session : Node {  // 56 bytes
  char more[24] = {};
};
struct Request : Node {  // 72
  char more[40] = {};
};
struct Audit : Node {  // 88
  char more[56] = {};
};
struct Config : Node {  // 104
  char more[72] = {};
};

NOINLINE Session* make_session() { return new Session; }
NOINLINE Request* make_request() { return new Request; }
NOINLINE Audit* make_audit() { return new Audit; }
NOINLINE Config* make_config() { return new Config; }
NOINLINE void* make_buffer(size_t size) {
  void* buffer = malloc(size);
  memset(buffer, 1, size);
  return buffer;
}

// 10 sessions with a request and a buffer each, of which the first 4 share a config with 3 audits;
// the config has a buffer. 2 audits beside refer to a session each. A ring of requests. 6 buffers.
NOINLINE void leak() {
  Config* config = make_config();
  config->c = make_buffer(408);
  for (int i = 0; i < 10; ++i) {
    Session* session = make_session();
    session->a = make_request();
    session->c = make_buffer(120);
    if (i < 4) session->b = config;
    if (i >= 8) make_audit()->a = session;
  }
  for (int i = 0; i < 3; ++i) make_audit()->a = config;
  Request* ring[5];
  for (Request*& request : ring) request = make_request();
  for (int i = 0; i < 5; ++i) ring[i]->a = ring[(i + 1) % 5];
  for (int i = 0; i < 6; ++i) make_buffer(4008);
}

// What leak() left on the stack and in registers must not hide anything.
NOINLINE void scrub() {
  volatile char space[65536];
  for (volatile char& c : space) c = 0;
}

int main() {
  setbuf(stdout, nullptr);
  leak();
  scrub();
  puts("READY");
  getchar();
  return 0;
}
