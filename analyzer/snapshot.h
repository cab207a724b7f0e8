// Snapshot: everything that one analysis found, as values. What the pipeline returns, what db/
// stores and what cli/ prints. It owns its data except the views into the dump inside
// ChunkMap's runs, which live as long as the Image it came from.
//
// The rows follow the SQL tables of the contract; ids are indexes into the vectors here (the
// database stores the same numbers).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analyzer/chunk_map.h"
#include "analyzer/reference_graph.h"
#include "analyzer/size_column.h"
#include "formats/base/address.h"
#include "formats/base/diagnostics.h"

namespace residue {

enum class ChunkState : uint8_t { kUsed, kFree, kCached };
inline constexpr std::array<const char*, 3> kChunkStateNames = {"used", "free", "cached"};

// Why a used chunk is alive, or that it is not. kNone for chunks that are not used.
enum class Reach : uint8_t { kNone, kReachable, kInterior, kStale, kLeaked, kIndirect, kSystem };
inline constexpr std::array<const char*, 7> kReachNames = {
    "", "reachable", "interior", "stale", "leaked", "indirect", "system"};

constexpr bool is_leak(Reach r) {
  return r == Reach::kStale || r == Reach::kLeaked || r == Reach::kIndirect;
}

// The chunks of all heaps as columns; index = ChunkId::value(), ids in address order.
struct ChunkTable {
  ChunkMap map;
  std::vector<ChunkState> state;
  std::vector<Reach> reach;
  std::vector<uint32_t> type;     // index into Snapshot::types, or kNone<TypeId>
  std::vector<uint32_t> owner;    // index into Snapshot::owners, or kNone<OwnerId>
  std::vector<uint32_t> cluster;  // index into Snapshot::clusters, or kNoCluster
  static constexpr uint32_t kNoCluster = ~uint32_t{0};
  // Usable bytes that were not asked for; empty unless the allocator wrote that down.
  std::vector<uint32_t> slack;
  static constexpr uint32_t kUnknownSlack = ~uint32_t{0};
  // Both are empty if nobody asked for retained sizes (PipelineOptions::retained).
  SizeColumn retained;  // bytes that would become free with it; 0: its own usable ones
  // What dominates it immediately: a chunk, kDominatedByOwner | owner, or kNoDominator.
  std::vector<uint32_t> dominator;
  static constexpr uint32_t kDominatedByOwner = uint32_t{1} << 31;
  static constexpr uint32_t kNoDominator = ~uint32_t{0};
};

struct SnapshotInfo {
  std::string label;     // the user's; may be empty
  std::string taken_at;  // UTC, ISO 8601: when the dump was written
  std::string source;    // path of the dump as given
  uint64_t source_bytes = 0;
  std::string format;  // 'elf-core', …
  std::string os;
  std::string arch;
  uint32_t pid = 0;
  std::string executable;
  bool complete = true;  // every region that should be in the dump is there in full
  // Equal for dumps of one process, and of no two; hexadecimal, empty if unknown.
  std::string process;
  // Equal for copies of one dump, whatever their names; hexadecimal, empty if unknown.
  std::string dump_id;
};

struct ModuleRow {
  std::string name;  // last component of the path
  std::string path;
  std::string build_id;  // lower-case hex, empty if unknown
  Address base;
  ByteCount size;
  std::string symbols;  // 'full', 'partial', 'none'
};

struct RegionRow {
  Address start;
  ByteCount size;
  std::string perms;  // "rw-"
  std::string kind;   // 'heap', 'stack', 'module-text', 'module-rodata', 'module-data', …
  std::string name;   // path of the mapped file, or empty
  ByteCount in_dump;  // bytes that the dump (or a matching file) supplies
};

struct ThreadRow {
  uint32_t tid = 0;
  std::string name;
  bool crashed = false;
  uint32_t signal = 0;
  std::string reason;
  std::optional<Address> fault_address;
  std::string stack_end;  // why its stack has no further frames, in words
};

// A place in the code that frames refer to: many frames share one.
struct PlaceRow {
  std::string module;    // last component of the path; empty outside of every module
  std::string function;  // readable; empty if unknown
  std::string file;
  uint32_t line = 0;  // 0 if unknown
  bool inlined = false;
  std::optional<uint64_t> offset;  // bytes from the function's start to the byte looked up
};

// One frame of one thread. Frames inlined into a physical one come before it, with its pc and sp.
struct FrameRow {
  uint32_t thread = 0;  // index into Snapshot::threads
  uint32_t depth = 0;   // 0 is the innermost
  uint32_t place = 0;   // index into Snapshot::places
  // `pc` is the instruction after a call: the place is that of the byte before it, in the call.
  bool after_call = false;
  uint64_t pc = 0;
  uint64_t sp = 0;
  const char* trust = "";  // static storage: 'context', 'cfi', 'call_site', 'frame_pointer', 'scan'
};

struct HeapRow {
  std::string allocator;  // 'glibc'
  std::string version;    // layout that fitted: 'malloc_state of 2.27-2.42, tcache of 2.30-2.41'
  std::string name;       // 'main_arena', 'arena 0x7f…', 'mmapped'
  Address address;
  uint64_t used_count = 0, used_bytes = 0;  // bytes are usable bytes
  uint64_t free_count = 0, free_bytes = 0;  // without cached
  uint64_t cached_count = 0, cached_bytes = 0;
  uint64_t mapped_bytes = 0;    // of the process's memory that belongs to this heap
  uint64_t overhead_bytes = 0;  // headers, bookkeeping, padding: mapped less used, free and cached
  // mallinfo2's counters for this arena, computed from the walk (chunk sizes with their headers;
  // cached chunks count as in use, mmapped chunks do not count).
  uint64_t uordblks = 0, fordblks = 0;
  uint64_t largest_free = 0;  // bytes of the largest free chunk
  uint64_t free_pages = 0;    // bytes of whole pages inside free chunks: what trimming could return
  bool verified = false;
  std::string problem;  // which law does not balance and by how much; empty if verified
};

struct TypeRow {
  std::string name;  // demangled
  std::string module;
  std::string origin;      // 'vtable', 'string', …
  std::string confidence;  // 'exact', 'derived', 'text', 'guess'
};

struct OwnerRow {
  std::string kind;  // 'global', 'tls', 'register', 'thread', 'anonymous', …
  std::string name;  // symbol of the global, or what there is
  std::string module;
  uint32_t thread = 0;  // tid, 0 if none
  std::string file;     // of the declaration; empty if unknown
  uint32_t line = 0;    // 0 if unknown
};

// Leaked chunks that belong together: one head and what it alone keeps. Clusters of the same shape
// are folded into one row with a count.
struct ClusterRow {
  static constexpr uint32_t kNotSuppressed = ~uint32_t{0};

  Address head;             // user address of the head of one instance, the first in memory
  uint64_t count = 0;       // instances of this shape
  uint64_t chunks = 0;      // over all instances
  uint64_t bytes = 0;       // over all instances, usable
  uint64_t bytes_each = 0;  // of one instance, without what is shared; the average if they differ
  uint64_t shared = 0;      // of the chunks, those that heads of other instances lead to as well
  std::string shape;        // "{Session, Request, 2 × 40 bytes}", of one instance
  std::string type;         // of the head; empty if unknown
  std::string module;       // of the head's type
  std::string verdict;      // 'leaked' or 'stale'
  std::string evidence;     // in words
  uint32_t suppression = kNotSuppressed;  // index into Snapshot::suppressions
};

// A line of a suppression file, and what it hid.
struct SuppressionRow {
  std::string file;  // as given; "MODULE:__lsan_default_suppressions" of one in the program
  uint32_t line = 0;
  std::string kind;  // 'leak', 'leak-type', …
  std::string pattern;
  uint64_t count = 0, bytes = 0;                        // leaked chunks that match it
  uint64_t suppressed_count = 0, suppressed_bytes = 0;  // these, and what they lead to
};

// What one owner, one object that several owners share, or all objects of one type keep alive.
struct RetainerRow {
  std::string kind;  // the owner's, or 'object', or 'type'
  std::string name;  // of the owner or type; "(416 bytes)" for an object without a type
  std::string module;
  std::string file;
  uint32_t line = 0;
  uint32_t thread = 0;                              // tid, 0 if none
  Address address;                                  // of an object, else 0
  uint64_t retained_count = 0, retained_bytes = 0;  // chunks that go with it, an object's own too
  uint64_t direct_count = 0;  // of an owner: chunks it refers to; of a type: objects that count
  std::string held_by;        // of an object: its owners, as far as they are known
};

// A guess: something that keeps a large part of what is alive.
struct SuspectRow {
  std::string kind;  // 'owner', 'object', 'owners' (of one name), 'objects' (of one type)
  std::string name;
  std::string module;
  Address address;     // of an object, else 0
  uint64_t count = 0;  // owners or objects that are meant: 1, or as many as the group has
  uint64_t retained_count = 0, retained_bytes = 0;
  double share = 0;  // of all live bytes, in per cent
  // Where it accumulates: the object below which no single one keeps much; 0 for an owner itself.
  Address accumulation;
  std::string accumulation_name;
  uint64_t children = 0;  // what hangs on it immediately
  std::string evidence;   // in words
  std::string confidence = "guess";
};

// Where a reader should look first; computed once, so that no query has to touch the chunks.
struct UsageRow {
  std::string dimension;  // 'type', 'owner', 'module', 'size', 'heap', 'region', 'site'
  std::string key;
  uint64_t used_count = 0, used_bytes = 0, leaked_count = 0, leaked_bytes = 0;
};

// One line of the account of all bytes: classes are disjoint and add up to the image.
struct AccountRow {
  std::string
      category;  // 'used chunks', 'free chunks', 'cached chunks', 'stacks', 'module data', …
  uint64_t bytes = 0;
  uint64_t in_dump = 0;
};

// One part of the process's memory: the parts are disjoint and add up to all that is mapped.
struct MemoryRow {
  std::string category;  // 'used chunks', 'free chunks', 'stack', 'module text', 'unknown', …
  std::string name;      // of the arena, thread, module or file; empty if it has none
  std::string module;    // the module whose memory it is
  std::optional<uint32_t> heap;  // index into Snapshot::heaps
  uint32_t thread = 0;           // tid, 0 if none
  uint64_t count = 0;            // chunks, or mappings
  uint64_t bytes = 0;
  uint64_t in_dump = 0;  // of these, bytes that the dump supplies
  std::optional<uint64_t> rss;
};

// A text that several chunks hold.
struct DuplicateRow {
  std::string text;               // its beginning
  uint64_t length = 0;            // characters of the whole text
  uint64_t count = 0, bytes = 0;  // chunks that hold it, and their usable bytes
  uint64_t wasted = 0;            // bytes of all of them but one
  Address example;                // one of the chunks
};

// A place where a heap's bookkeeping was overwritten, and who probably did it.
struct CorruptionRow {
  Address address;   // of the damaged word; 0 if only libc's own message tells of it
  std::string kind;  // 'overflow', 'underflow', 'use after free', 'double free', 'cycle', 'unknown'
  std::string expected;  // bytes that must have been there, as hex and text; empty if unknown
  std::string found;     // bytes that are there
  Address suspect;       // user address of the chunk that was probably written beyond, 0 if unknown
  std::string suspect_type;  // of that chunk; empty if unknown
  std::string confidence;    // 'proved', 'likely', 'guess'
  std::string message;
};

struct Snapshot {
  SnapshotInfo info;
  std::vector<ModuleRow> modules;
  std::vector<RegionRow> regions;
  std::vector<ThreadRow> threads;
  std::vector<PlaceRow> places;
  std::vector<FrameRow> frames;  // by thread, then depth
  std::vector<HeapRow> heaps;
  std::vector<TypeRow> types;
  std::vector<OwnerRow> owners;
  std::vector<ClusterRow> clusters;  // most bytes first
  std::vector<SuppressionRow> suppressions;
  std::vector<UsageRow> usage;
  std::vector<RetainerRow> retainers;  // owners and objects, most bytes first; then types
  std::vector<SuspectRow> suspects;    // most bytes first
  std::vector<AccountRow> account;
  std::vector<MemoryRow> memory;          // most bytes first
  std::vector<DuplicateRow> duplicates;   // most wasted bytes first
  std::vector<CorruptionRow> corruption;  // by address
  ChunkTable chunks;
  ReferenceGraph references;
  Diagnostics diagnostics;
};

}  // namespace residue
