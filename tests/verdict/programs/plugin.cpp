#include "plugin.h"

namespace {

void* kept;
thread_local void* kept_by_thread;
struct Record {
  void* part;
  long rest[3];
};

}  // namespace

extern "C" __attribute__((visibility("default"))) void plugin_build(PluginMake make) {
  kept = make("in_plugin_data", 40, "reachable");
  kept_by_thread = make("in_plugin_tls", 40, "reachable");
  auto* const lost = static_cast<Record*>(make("lost_by_plugin", sizeof(Record), "leaked"));
  lost->part = make("part_of_lost", 24, "indirect");
  asm volatile("" : "+m"(kept), "+m"(kept_by_thread) : : "memory");
}
