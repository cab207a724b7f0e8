// One cell as text: what the formats of cli/render.h are made of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "db/row_sink.h"

namespace residue {

// Whether a column of this name holds addresses: address, base, start, head, pc, *_address.
bool is_address_column(std::string_view name);

// A number or text as SQL would print it, a blob in hexadecimal, NULL as nothing.
void append_plain(std::string& out, const Cell& cell);

// A JSON value; `is_address`: integers become "0x…".
void append_json(std::string& out, const Cell& cell, bool is_address);

// A JSON string with its quotes. Invalid UTF-8 becomes U+FFFD, control characters are escaped.
void append_json_string(std::string& out, std::string_view text);

// Characters of valid UTF-8.
size_t count_characters(std::string_view text);

// `text`, or its first `limit - 1` characters and an ellipsis. REQUIRES: valid UTF-8; limit > 0.
std::string cut_text(std::string_view text, size_t limit);

}  // namespace residue
