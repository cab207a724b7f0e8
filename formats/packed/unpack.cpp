// The one loop over frames that all kinds of compression share.
//
// A compressed file is a row of frames: whole ones, and between them zeros (tapes and xz pad with
// them) and frames to be skipped. Tools that compress in parallel write hundreds of them, and
// `cat a.zst b.zst` is two. A frame is unpacked by the library; what follows a whole frame is
// looked at here, the same way for every kind.
//
// The space check: what the file announces may be far more than its data needs, because zeros
// become holes: a sparse core of 100 GB compresses to a few MB and unpacks to 1 GB. If the
// announced size fits, unpacking begins at once. If it does not, the file is unpacked once without
// writing, to count what is not zeros: slower, but then it is known, and nothing was written in
// vain.
#include "formats/packed/unpack.h"

#include <algorithm>

#include "formats/base/text.h"
#include "formats/packed/scratch_file.h"

namespace residue::packed {
namespace {

constexpr const char* kStage = "unpack";
// A multiple of ScratchFile::kBlock, so that blocks of the output are blocks of the file.
constexpr size_t kOutput = size_t{1} << 20;
// The largest result that is believed: 16 TiB, as much as ext4 takes in one file. Zeros need no
// space, so that the space alone would not stop a file which unpacks to zeros without end.
constexpr uint64_t kMaxUnpacked = uint64_t{1} << 44;

// Takes the unpacked bytes, in pieces of kOutput but for the last.
using Sink = std::function<Result<void>(std::span<const std::byte>)>;

class Unpacker {
 public:
  Unpacker(std::span<const std::byte> packed, const Packing& packing)
      : packed_(packed), packing_(packing), decoder_(packing.make_decoder()), buffer_(kOutput) {}

  // Unpacks everything, or up to the damage. Fails only as the sink does.
  Result<void> run(const Sink& sink, const UnpackProgress& progress) {
    while (at_ < packed_.size() && !damage_) {
      if (!next_frame()) break;
      RESIDUE_TRY(frame(sink, progress));
    }
    return flush(sink);
  }

  uint64_t unpacked() const { return unpacked_; }
  uint64_t position() const { return at_; }
  // What is wrong with the compressed data, from position() on.
  const std::optional<Error>& damage() const { return damage_; }
  // Bytes behind the last whole frame that are neither a frame nor zeros.
  uint64_t trailing() const { return trailing_; }

 private:
  // Goes to the next frame; false if there is none.
  bool next_frame() {
    while (at_ < packed_.size()) {
      const auto rest = packed_.subspan(at_);
      if (packing_.starts_frame(rest)) return true;
      const uint64_t skip = skippable_frame(rest);
      if (skip > rest.size()) {
        damage_ = Error{ErrorCode::kTruncated, "the file ends inside a frame", {}};
        return false;
      }
      if (skip == 0) break;
      at_ += skip;
    }
    const auto rest = packed_.subspan(at_);
    const auto other =
        std::find_if(rest.begin(), rest.end(), [](std::byte b) { return b != std::byte{0}; });
    const auto zeros = static_cast<size_t>(other - rest.begin());
    if (zeros > 0 && other != rest.end() && packing_.starts_frame(rest.subspan(zeros))) {
      at_ += zeros;
      return true;
    }
    if (other != rest.end()) trailing_ = rest.size();
    return false;
  }

  Result<void> frame(const Sink& sink, const UnpackProgress& progress) {
    if (auto begun = decoder_->begin(); !begun) damage_ = std::move(begun).error();
    auto where = Step::Where::kInside;
    while (!damage_ && where != Step::Where::kAtEnd) {
      const auto rest = packed_.subspan(at_);
      Step step;
      auto drained = decoder_->drain(rest.first(std::min(rest.size(), Decoder::kMinInput)),
                                     std::span(buffer_).subspan(filled_), &step);
      at_ += step.read;
      filled_ += step.written;
      where = step.where;
      if (!drained) {
        damage_ = std::move(drained).error();
      } else if (step.read == 0 && step.written == 0 && where != Step::Where::kAtEnd) {
        if (where == Step::Where::kMayEnd && rest.empty()) break;
        damage_ = Error{ErrorCode::kTruncated, "the file ends inside the compressed data", {}};
      }
      if (filled_ == buffer_.size()) {
        RESIDUE_TRY(flush(sink));
        if (progress) progress(at_, packed_.size());
      }
      release_behind();
    }
    return {};
  }

  Result<void> flush(const Sink& sink) {
    if (filled_ == 0) return {};
    if (filled_ > kMaxUnpacked - unpacked_) {
      return Error{ErrorCode::kNoSpace,
                   "unpacks to more than " + std::to_string(kMaxUnpacked) + " bytes",
                   {}};
    }
    RESIDUE_TRY(sink(std::span(buffer_).first(filled_)));
    unpacked_ += filled_;
    filled_ = 0;
    return {};
  }

  void release_behind() {
    constexpr uint64_t kReleaseEvery = 16 << 20;
    if (at_ - released_ < kReleaseEvery) return;
    release_pages(packed_.subspan(released_, at_ - released_));
    released_ = at_;
  }

  std::span<const std::byte> packed_;
  const Packing& packing_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<std::byte> buffer_;
  size_t filled_ = 0;
  uint64_t at_ = 0;
  uint64_t released_ = 0;
  uint64_t unpacked_ = 0;
  uint64_t trailing_ = 0;
  std::optional<Error> damage_;
};

// Whether what the file unpacks to fits into `room`; see the head of this file.
Result<void> check_room(const MappedFile& packed, const Packing& packing, const ScratchFile& file,
                        const UnpackProgress& progress) {
  const uint64_t room = file.room();
  const auto announced = packing.announced_size(packed.bytes());
  if (!announced || *announced <= room) return {};
  uint64_t data = 0;
  const auto count = [&](std::span<const std::byte> bytes) -> Result<void> {
    data += bytes_of_data(bytes);
    if (data <= room) return {};
    return Error{
        ErrorCode::kNoSpace,
        "unpacks to " + std::to_string(*announced) + " bytes and does not fit: " + file.advice(),
        {}};
  };
  return Unpacker(packed.bytes(), packing).run(count, progress);
}

void report(const Unpacker& unpacker, const Packing& packing, Diagnostics& diagnostics) {
  std::string message = packing.name;
  if (const auto& damage = unpacker.damage()) {
    message.append(": ").append(damage->message).append("; the ");
    message.append(std::to_string(unpacker.unpacked())).append(" bytes unpacked before are used");
  } else if (unpacker.trailing() > 0) {
    message.append(": what follows the compressed data is no part of it and ignored");
  } else {
    return;
  }
  diagnostics.add(Severity::kDamage, kStage, "compressed file offset " + hex(unpacker.position()),
                  unpacker.damage() ? 0 : unpacker.trailing(), std::move(message));
}

}  // namespace

std::vector<std::byte> unpack_head(std::span<const std::byte> packed, const Packing& packing,
                                   size_t limit) {
  std::vector<std::byte> head;
  // The sink's error is only how it says that it has enough.
  (void)Unpacker(packed, packing)
      .run(
          [&](std::span<const std::byte> bytes) -> Result<void> {
            const auto part = bytes.first(std::min(bytes.size(), limit - head.size()));
            head.insert(head.end(), part.begin(), part.end());
            if (head.size() < limit) return {};
            return Error{};
          },
          {});
  return head;
}

Result<Unpacked> unpack(const MappedFile& packed, const Packing& packing,
                        const UnpackProgress& progress, Diagnostics& diagnostics) {
  RESIDUE_ASSIGN(ScratchFile scratch, ScratchFile::create());
  RESIDUE_TRY(check_room(packed, packing, scratch, progress));
  Unpacker unpacker(packed.bytes(), packing);
  RESIDUE_TRY(
      unpacker.run([&](std::span<const std::byte> b) { return scratch.append(b); }, progress));
  if (unpacker.damage() && unpacker.unpacked() == 0) {
    return Error{unpacker.damage()->code,
                 std::string("nothing can be unpacked: ").append(unpacker.damage()->message),
                 FileOffset(unpacker.position())};
  }
  report(unpacker, packing, diagnostics);
  Unpacked unpacked;
  unpacked.complete = !unpacker.damage().has_value();
  RESIDUE_ASSIGN(unpacked.file, scratch.map(packed.path()));
  return unpacked;
}

}  // namespace residue::packed
