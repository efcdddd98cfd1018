// What the codecs do with their codes on the host, and how they check what they are given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../../ops/types.h"

namespace magnets {

/// Throws ERR_INTERNAL unless there are `count` times `size` values.
void check_size(size_t actual, int count, size_t size);
/// Also unless all of them are codes.
void check_tokens(const std::vector<int32_t>& tokens, int count, int positions, int codebook_size);

/// Clamps pixels of samples of `size` to [0, 1]. Throws ERR_NUMERIC where one is not finite.
void clamp_pixels(std::vector<float>& pixels, size_t size);

/// Throws ERR_NUMERIC unless all of [rows, columns] are finite: what would be chosen by them means nothing.
void check_latents(const std::vector<float>& latents, size_t columns);

/// -|c|² / 2 of every code. The nearest code to z has the largest z · c - |c|² / 2, for |z - c|² is |z|² - 2 times
/// that.
std::vector<float> negative_half_norms(const std::vector<float>& codebook, int dim);

/// c / |c| of every code.
std::vector<float> normalized_codes(std::vector<float> codebook, int dim);

/// The code of every number of `bits` bits: +1 where a bit is set, else -1, the least significant first.
std::vector<float> sign_codes(int bits);

/// W c + b of every code.
std::vector<float> project_codes(const std::vector<float>& codebook, int dim, const std::vector<float>& weight,
                                 const std::vector<float>& bias);

}  // namespace magnets
