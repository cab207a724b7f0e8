// Wanted: which of an analysis's results somebody will look at.
//
// Each part of a Snapshot is either complete, exactly as a whole analysis would have it, or empty:
// what is asked for changes how long the analysis takes, never a value of it.
#pragma once

namespace residue {

struct Wanted {
  // Snapshot::heaps, chunks.map, .state and .slack, corruption without the suspects' types;
  // regions' kind.
  bool heaps = true;
  // Snapshot::account, heaps' .largest_free and .free_pages.
  bool account = true;
  // Snapshot::frames and places; why stacks end early.
  bool frames = true;
  // Modules' `symbols`.
  bool symbols = true;
  // Snapshot::references, chunks.type, the names of the suspects of corruption.
  bool references = true;
  // Snapshot::types and owners, chunks.owner.
  bool reach = true;
  // Snapshot::clusters and suppressions, chunks.reach and .cluster.
  bool leaks = true;
  // Snapshot::retainers and suspects, chunks.retained and .dominator.
  bool retained = true;
  // Snapshot::usage.
  bool usage = true;
  // Snapshot::memory.
  bool memory = true;
  // Snapshot::duplicates.
  bool duplicates = true;

  static constexpr Wanted nothing() {
    return {false, false, false, false, false, false, false, false, false, false, false};
  }

  // These and those.
  constexpr void add(const Wanted& other) {
    heaps |= other.heaps;
    account |= other.account;
    frames |= other.frames;
    symbols |= other.symbols;
    references |= other.references;
    reach |= other.reach;
    leaks |= other.leaks;
    retained |= other.retained;
    usage |= other.usage;
    memory |= other.memory;
    duplicates |= other.duplicates;
  }

  // With everything that is computed from something else before it.
  constexpr Wanted completed() const {
    Wanted all = *this;
    all.account |= all.memory;
    all.leaks |= all.usage || all.retained || all.memory;
    all.reach |= all.leaks;
    all.references |= all.reach || all.duplicates;
    all.heaps |= all.references || all.account;
    return all;
  }

  constexpr bool operator==(const Wanted&) const = default;
};

}  // namespace residue
