// A library of which there are two versions: ENTRIES is how many entries its ledger holds.
#include <cstdint>
#include <cstdlib>
#include <new>

namespace ledger {

struct Entry {
  virtual ~Entry() = default;
  Entry* next = nullptr;
  uint64_t sums[20] = {};
};

Entry* first;

}  // namespace ledger

extern "C" void* open_ledger() {
  for (int i = 0; i < ENTRIES; ++i) {
    auto* entry = new (malloc(sizeof(ledger::Entry))) ledger::Entry;
    entry->next = ledger::first;
    ledger::first = entry;
  }
  return ledger::first;
}
