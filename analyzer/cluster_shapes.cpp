// Folding. A million equal leaks are one line. What makes two instances equal must be blind to what
// differs without meaning: allocators now and then give 16 bytes more than asked for, strings and
// buffers have the length they have, and addresses are random. So:
//   - a chunk whose type is known counts by its type, whatever its size;
//   - below a head whose type is known, all others count by number: the type says what they are;
//   - below a head that is known by its size only, text counts by number, the rest by size;
//   - what several heads share counts with one of them, but does not make it different.
// Where members are counted by number, the row says from which size to which they are. Rejected:
// exact sizes everywhere (one leak of the sample service became 34 rows), and names of fields for
// members, which need type information of the head.
//
// Cost: linear, but for sorting the loose members of each instance by size.
#include "analyzer/cluster_shapes.h"

#include <algorithm>
#include <tuple>

namespace residue {
namespace {

constexpr size_t kMaxShownParts = 6;  // kinds of members that a shape names
constexpr size_t kMaxKeptParts = 32;  // that are kept; one more stands for the rest
constexpr size_t kMaxSizeGroups = 4;  // sizes of loose members that are told apart

// splitmix64's finaliser (Steele, Lea, Flood 2014; public domain constants).
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// MurmurHash3's (Appleby, public domain).
uint64_t mix_again(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccd;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53;
  return x ^ (x >> 33);
}

// What a key is made of: a tag and a number.
enum Tag : uint64_t { kHeadType = 1, kHeadSize, kStale, kRule, kType, kSize, kLooseText, kLoose };

}  // namespace

ShapeTable::ShapeTable(const ChunkTable& chunks, const std::vector<TypeRow>& types)
    : chunks_(chunks), types_(types) {
  // Types in the order of their names: ids depend on what the walk meets first.
  std::vector<uint32_t> order(types_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    return std::tie(types_[a].name, types_[a].module, a) <
           std::tie(types_[b].name, types_[b].module, b);
  });
  type_rank_.resize(types_.size());
  for (uint32_t i = 0; i < order.size(); ++i) type_rank_[order[i]] = i;
}

bool ShapeTable::is_text(uint32_t id) const {
  const uint32_t type = chunks_.type[id];
  return type != kNone<TypeId>.value() && types_[type].origin == "string";
}

// A real type; that a chunk holds text says nothing of what it is.
bool ShapeTable::is_typed(uint32_t id) const {
  return chunks_.type[id] != kNone<TypeId>.value() && !is_text(id);
}

bool ShapeTable::better_head(uint32_t a, uint32_t b) const {
  const auto rank = [this](uint32_t id) {
    return is_typed(id) ? type_rank_[chunks_.type[id]] : static_cast<uint32_t>(types_.size());
  };
  const uint32_t rank_a = rank(a);
  const uint32_t rank_b = rank(b);
  if (rank_a != rank_b) return rank_a < rank_b;
  const uint64_t size_a = usable(a);
  const uint64_t size_b = usable(b);
  return size_a != size_b ? size_a > size_b : a < b;
}

ShapeTable::Kind ShapeTable::kind_of(uint32_t id, bool head_is_typed) const {
  if (is_typed(id)) return Kind::kTyped;
  return head_is_typed || is_text(id) ? Kind::kLoose : Kind::kSized;
}

ShapeTable::Key ShapeTable::key_of(const ClusterInstance& instance) const {
  Key key;
  // A sum: the order of the members does not matter.
  const auto put = [&key](Tag tag, uint64_t value) {
    key.a += mix(mix(tag) + value);
    key.b += mix_again(mix_again(tag) ^ value);
  };
  const bool typed = is_typed(instance.head);
  if (typed) {
    put(kHeadType, chunks_.type[instance.head]);
  } else {
    put(kHeadSize, usable(instance.head) << 1 | (is_text(instance.head) ? 1 : 0));
  }
  put(kStale, chunks_.reach[instance.head] == Reach::kStale ? 1 : 0);
  put(kRule, instance.rule);
  for (const uint32_t id : instance.own) {
    switch (kind_of(id, typed)) {
      case Kind::kTyped:
        put(kType, chunks_.type[id]);
        break;
      case Kind::kSized:
        put(kSize, usable(id));
        break;
      case Kind::kLoose:
        put(typed ? kLoose : kLooseText, 0);
        break;
    }
  }
  return key;
}

uint32_t ShapeTable::add(const ClusterInstance& instance) {
  const uint32_t index = find_shape(instance);
  Shape& shape = shapes_[index];
  const uint64_t head_bytes = usable(instance.head);
  if (shape.count == 0) {
    shape.head = instance.head;
    shape.rule = instance.rule;
    shape.least_head = shape.most_head = head_bytes;
    if (!shape.other) describe_first(instance, &shape);
  } else if (!shape.other) {
    widen_loose(instance, &shape);
  }
  shape.head = std::min(shape.head, instance.head);
  shape.least_head = std::min(shape.least_head, head_bytes);
  shape.most_head = std::max(shape.most_head, head_bytes);
  ++shape.count;
  shape.chunks += 1 + instance.own.size() + instance.shared.size();
  shape.bytes += head_bytes;
  for (const uint32_t id : instance.own) shape.bytes += usable(id);
  if (!instance.shared.empty()) add_shared(instance, &shape);
  return index;
}

uint32_t ShapeTable::find_shape(const ClusterInstance& instance) {
  const Key key = key_of(instance);
  const auto it = shape_of_key_.find(key);
  if (it != shape_of_key_.end()) return it->second;
  if (shape_of_key_.size() >= kMaxShapes) return other_shape(instance.rule);
  const auto index = static_cast<uint32_t>(shapes_.size());
  shape_of_key_.emplace(key, index);
  shapes_.emplace_back();
  return index;
}

uint32_t ShapeTable::other_shape(uint32_t rule) {
  const auto [it, is_new] = other_of_rule_.try_emplace(rule, static_cast<uint32_t>(shapes_.size()));
  if (is_new) {
    shapes_.emplace_back();
    shapes_.back().other = true;
    shapes_.back().rule = rule;
  }
  return it->second;
}

// Fills loose_, the largest first.
void ShapeTable::collect_loose(const ClusterInstance& instance) {
  loose_.clear();
  const bool typed = is_typed(instance.head);
  for (const uint32_t id : instance.own) {
    if (kind_of(id, typed) != Kind::kLoose) continue;
    loose_.push_back(usable(id) << 1 | (is_text(id) ? 1 : 0));
  }
  std::sort(loose_.begin(), loose_.end(), std::greater<>());
}

void ShapeTable::describe_first(const ClusterInstance& instance, Shape* shape) {
  const bool typed = is_typed(instance.head);
  std::unordered_map<uint64_t, size_t> part_of;  // by type or size
  for (const uint32_t id : instance.own) {
    const Kind kind = kind_of(id, typed);
    if (kind == Kind::kLoose) continue;
    const uint64_t size = usable(id);
    const uint64_t key = kind == Kind::kTyped ? uint64_t{chunks_.type[id]} << 1 : mix(size) | 1;
    const size_t room = std::min(shape->parts.size(), kMaxKeptParts);
    const auto [it, is_new] = part_of.try_emplace(key, room);
    if (it->second == shape->parts.size()) {
      Part part;
      if (kind == Kind::kTyped) part.type = chunks_.type[id];
      shape->parts.push_back(part);
    }
    Part& part = shape->parts[it->second];
    ++part.count;
    part.bytes += size;
    part.widen(size, false);
    if (it->second == kMaxKeptParts) part.type = kNone<TypeId>.value();
  }
  shape->first_loose = static_cast<uint32_t>(shape->parts.size());
  collect_loose(instance);
  const auto groups = [this] {
    size_t n = 0;
    for (size_t i = 0; i < loose_.size(); ++i) n += i == 0 || loose_[i] != loose_[i - 1] ? 1 : 0;
    return n;
  }();
  for (size_t i = 0; i < loose_.size(); ++i) {
    const bool next = groups <= kMaxSizeGroups && i > 0 && loose_[i] != loose_[i - 1];
    if (i == 0 || next) {
      shape->parts.emplace_back();
      shape->parts.back().text = true;
    }
    Part& part = shape->parts.back();
    ++part.count;
    part.bytes += loose_[i] >> 1;
    part.widen(loose_[i] >> 1, (loose_[i] & 1) != 0);
  }
}

// The loose members of a further instance, of which there are as many.
void ShapeTable::widen_loose(const ClusterInstance& instance, Shape* shape) {
  if (shape->first_loose == shape->parts.size()) return;
  collect_loose(instance);
  size_t at = 0;
  for (size_t p = shape->first_loose; p < shape->parts.size(); ++p) {
    Part& part = shape->parts[p];
    for (uint64_t i = 0; i < part.count && at < loose_.size(); ++i, ++at) {
      part.widen(loose_[at] >> 1, (loose_[at] & 1) != 0);
    }
  }
}

void ShapeTable::add_shared(const ClusterInstance& instance, Shape* shape) const {
  for (const uint32_t id : instance.shared) {
    const uint64_t size = usable(id);
    ++shape->shared;
    shape->shared_bytes += size;
    shape->bytes += size;
    if (shape->other) continue;
    const uint32_t type = is_typed(id) ? chunks_.type[id] : kNone<TypeId>.value();
    std::vector<Part>& parts = shape->shared_parts;
    auto it = std::find_if(parts.begin(), parts.end(),
                           [type](const Part& part) { return part.type == type; });
    if (it == parts.end() && parts.size() > kMaxShownParts) it = parts.end() - 1;
    if (it == parts.end()) {
      Part part;
      part.type = type;
      part.text = true;
      it = parts.insert(parts.end(), part);
    } else if (it->type != type) {
      it->type = kNone<TypeId>.value();
    }
    ++it->count;
    it->bytes += size;
    it->widen(size, is_text(id));
  }
}

// Shapes, most bytes first; what comes after that does not depend on addresses but at the very end.
std::vector<uint32_t> ShapeTable::by_bytes() const {
  std::vector<uint32_t> order(shapes_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
    const Shape& x = shapes_[a];
    const Shape& y = shapes_[b];
    if (x.bytes != y.bytes) return x.bytes > y.bytes;
    if (x.chunks != y.chunks) return x.chunks > y.chunks;
    if (x.count != y.count) return x.count < y.count;
    return x.head != y.head ? better_head(x.head, y.head) : a < b;
  });
  return order;
}

std::vector<ClusterRow> ShapeTable::finish(const std::string& caveat,
                                           std::vector<uint32_t>* row_of_shape) {
  std::vector<uint32_t> goes_to(shapes_.size());
  for (uint32_t i = 0; i < goes_to.size(); ++i) goes_to[i] = i;
  if (shapes_.size() > kMaxClusters) {
    const std::vector<uint32_t> order = by_bytes();
    for (size_t i = kMaxClusters; i < order.size(); ++i) {
      if (shapes_[order[i]].other) continue;
      const uint32_t other = other_shape(shapes_[order[i]].rule);
      const Shape small = std::move(shapes_[order[i]]);
      shapes_[order[i]] = Shape();
      goes_to[order[i]] = other;
      Shape& all = shapes_[other];
      all.head = all.count == 0 ? small.head : std::min(all.head, small.head);
      all.count += small.count;
      all.chunks += small.chunks;
      all.bytes += small.bytes;
      all.shared += small.shared;
      all.shared_bytes += small.shared_bytes;
    }
  }
  row_of_shape->assign(shapes_.size(), 0);
  std::vector<ClusterRow> rows;
  for (const uint32_t i : by_bytes()) {
    if (shapes_[i].count == 0) continue;
    (*row_of_shape)[i] = static_cast<uint32_t>(rows.size());
    rows.push_back(row_of(shapes_[i], caveat));
  }
  for (size_t i = 0; i < goes_to.size(); ++i) (*row_of_shape)[i] = (*row_of_shape)[goes_to[i]];
  return rows;
}

ClusterRow ShapeTable::row_of(const Shape& shape, const std::string& caveat) const {
  ClusterRow row;
  row.head = chunks_.map.address(ChunkId(shape.head));
  row.count = shape.count;
  row.chunks = shape.chunks;
  row.bytes = shape.bytes;
  row.shared = shape.shared;
  row.suppression = shape.rule;
  row.bytes_each = (shape.bytes - shape.shared_bytes + shape.count / 2) / shape.count;
  const bool leaked = shape.other || chunks_.reach[shape.head] != Reach::kStale;
  row.verdict = leaked ? "leaked" : "stale";
  if (shape.other) {
    row.shape = "{" + std::to_string(shape.count) + " clusters of further shapes}";
    row.evidence = "more than " + std::to_string(kMaxClusters) + " different shapes";
    return row;
  }
  row.evidence = leaked ? "no reference from registers, stacks, globals, TLS or other live memory"
                        : "referenced only from dead memory: freed chunks or stack below SP";
  if (!caveat.empty()) row.evidence.append("; ").append(caveat);
  Part head;
  head.text = is_text(shape.head);
  if (is_typed(shape.head)) head.type = chunks_.type[shape.head];
  head.least = shape.least_head;
  head.most = shape.most_head;
  if (chunks_.type[shape.head] != kNone<TypeId>.value()) {
    const TypeRow& type = types_[chunks_.type[shape.head]];
    row.type = type.name;
    row.module = type.module;
  }
  head.count = 1;
  row.shape = list_of(shape.parts, head);
  if (!shape.shared_parts.empty()) row.shape += " sharing " + list_of(shape.shared_parts, {});
  return row;
}

std::string ShapeTable::name_of(const Part& part) const {
  if (part.type != kNone<TypeId>.value()) return types_[part.type].name;
  std::string text = std::to_string(part.least);
  if (part.most != part.least) text.append("-").append(std::to_string(part.most));
  return text.append(part.text ? " bytes of text" : " bytes");
}

// "{Session, Request, 2 × 40 bytes}": the head, if there is one, with those like it; then the other
// parts, most bytes first.
std::string ShapeTable::list_of(std::vector<Part> parts, Part head) const {
  const auto like_head = [&head](const Part& part) {
    return part.type == head.type && (part.type != kNone<TypeId>.value() ||
                                      (part.text == head.text && part.least == head.least &&
                                       part.most == head.most && part.least == part.most));
  };
  const auto it = std::find_if(parts.begin(), parts.end(), like_head);
  if (head.count > 0 && it != parts.end()) {
    head.count += it->count;
    parts.erase(it);
  }
  const auto name = [this](const Part& part) {
    std::string text = part.count > 1 ? std::to_string(part.count) + " × " : "";
    return text.append(name_of(part));
  };
  std::vector<std::pair<uint64_t, std::string>> names;
  names.reserve(parts.size());
  for (const Part& part : parts) names.emplace_back(part.bytes, name(part));
  std::sort(names.begin(), names.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  std::string text = "{";
  if (head.count > 0) text += name(head);
  for (size_t i = 0; i < names.size(); ++i) {
    if (text.size() > 1) text += ", ";
    if (i == kMaxShownParts && names.size() > kMaxShownParts + 1) {
      text.append(std::to_string(names.size() - i)).append(" more kinds");
      break;
    }
    text += names[i].second;
  }
  return text.append("}");
}

}  // namespace residue
