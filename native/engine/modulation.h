// Norms and residuals that the class modulates (adaLN: DiT, arXiv 2212.09748): with its vector c, as SiLU leaves it,
// and a linear layer of three parts y = norm(x) * (1 + scale(c)) + shift(c), and x = x + gate(c) * f(y).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "weights/loader.h"

namespace magnets {

/// The vectors of one norm as the layer below gives them, in this order. The weight is the norm's own times 1 + scale.
enum ModulationPart { kShiftPart, kWeightPart, kGatePart };

/// The layer [norms * parts * d, d] from c to the vectors of these norms. Asks for `name`.{weight,bias}, whose rows are
/// shift, scale and, of three parts, gate of the first norm, then of the next; and for the norms' own weights and,
/// where they have some, biases: what they do to the vectors is linear, so it is done here once.
std::unique_ptr<Linear> load_modulation(Loader& loader, const std::string& name, const std::vector<std::string>& norms,
                                        bool have_bias, int parts, int d);

}  // namespace magnets
