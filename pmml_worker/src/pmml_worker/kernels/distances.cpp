// Distances and similarities between rows and reference points, and the references nearest to each row.
//
// Rows pass in tiles. Of a tile, all values of one coordinate lie side by side, so that one reference is measured for
// all rows of the tile by loops without a branch; a row's coordinates are added up in their order.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "arrays.hpp"

#define INLINE inline __attribute__((always_inline))

namespace {

constexpr int kTile = 64;
constexpr int kVector = 16;  // Rows whose sums fit the registers.

// How two values of one coordinate compare.
enum class Compare : uint8_t { kDifference, kGauss, kDiffers, kEquals, kTable };

// How the comparisons of all coordinates become one number.
enum class Aggregate : uint8_t { kRootOfSquares, kSquares, kMaximum, kSum, kPowers, kBinary };

// A table of comparisons of codes; one that is not there has size 0.
struct Table {
    const double* cells;
    size_t size;
};

template <class T>
struct Pack {
    size_t width, count;
    Aggregate aggregate;
    bool largest;
    bool is_plain;  // Squares of differences are added up.
    T power;
    T binary[8];  // Factors of pairs 11, 10, 01 and 00 above the fraction's line, then below.
    std::vector<T> references;  // One after the other.
    std::vector<Compare> compare;
    std::vector<T> weight, missing_weight;
    std::vector<double> scale;
    T missing_total;
    std::vector<Table> table;
    std::vector<double> cells;
};

template <class T>
struct Tile {
    int lanes;        // Rows, rounded up to whole vectors; what is beyond the rows is of no meaning.
    const T* values;  // Coordinate by coordinate, kTile rows each; NaN where missing.
    bool has_missing;
    const T* adjust;  // What a row's sum is multiplied by for the coordinates that it lacks.
};

template <class T>
INLINE T looked_up(const Table& table, T row, T column) {
    const auto size = static_cast<T>(table.size);
    if (!(row >= 0 && row < size && column >= 0 && column < size)) return std::numeric_limits<T>::quiet_NaN();
    return static_cast<T>(table.cells[static_cast<size_t>(row) * table.size + static_cast<size_t>(column)]);
}

template <class T>
INLINE void compared(const Pack<T>& pack, const Tile<T>& tile, size_t field, T reference, T* into) {
    const T* values = tile.values + field * kTile;
    switch (pack.compare[field]) {
        case Compare::kDifference:
            for (int i = 0; i < tile.lanes; ++i) into[i] = std::abs(values[i] - reference);
            break;
        case Compare::kGauss: {
            const double square = pack.scale[field] * pack.scale[field];
            for (int i = 0; i < tile.lanes; ++i) {
                const double z = static_cast<double>(values[i]) - static_cast<double>(reference);
                into[i] = static_cast<T>(std::exp(-0.693147180559945309417 * (z * z) / square));
            }
            break;
        }
        case Compare::kDiffers:
            for (int i = 0; i < tile.lanes; ++i) into[i] = values[i] == reference ? T(0) : T(1);
            break;
        case Compare::kEquals:
            for (int i = 0; i < tile.lanes; ++i) into[i] = values[i] == reference ? T(1) : T(0);
            break;
        case Compare::kTable:
            for (int i = 0; i < tile.lanes; ++i) into[i] = looked_up(pack.table[field], values[i], reference);
            break;
    }
}

template <class T>
INLINE void measure_binary(const Pack<T>& pack, const Tile<T>& tile, const T* reference, T* into) {
    T both[kTile] = {}, left[kTile] = {}, right[kTile] = {}, none[kTile] = {};
    for (size_t field = 0; field < pack.width; ++field) {
        const T* values = tile.values + field * kTile;
        const T y = reference[field];
        for (int i = 0; i < tile.lanes; ++i) {
            both[i] += values[i] * y;
            left[i] += values[i] * (1 - y);
            right[i] += (1 - values[i]) * y;
            none[i] += (1 - values[i]) * (1 - y);
        }
    }
    const T* c = pack.binary;
    for (int i = 0; i < tile.lanes; ++i) {
        const T above = c[0] * both[i] + c[1] * left[i] + c[2] * right[i] + c[3] * none[i];
        into[i] = above / (c[4] * both[i] + c[5] * left[i] + c[6] * right[i] + c[7] * none[i]);
    }
}

// Sums of weighted squares of differences, the measure of most models: the sums of some rows stay in registers.
template <class T>
INLINE void sum_squares(const Pack<T>& pack, const Tile<T>& tile, const T* reference, T* into) {
    typedef T Lanes __attribute__((vector_size(32)));
    constexpr int kParts = kVector * sizeof(T) / sizeof(Lanes);
    for (int first = 0; first < tile.lanes; first += kVector) {
        Lanes sums[kParts] = {};
        const T* values = tile.values + first;
        for (size_t field = 0; field < pack.width; ++field, values += kTile) {
            const T y = reference[field], weight = pack.weight[field];
#pragma GCC unroll 4
            for (int part = 0; part < kParts; ++part) {
                Lanes difference;
                std::memcpy(&difference, reinterpret_cast<const char*>(values) + part * sizeof(Lanes), sizeof(Lanes));
                difference -= y;
                sums[part] += weight * (difference * difference);
            }
        }
        std::memcpy(into + first, sums, sizeof(sums));
    }
}

// The measure of one reference for all rows of a tile; NaN where a row has none of its coordinates.
template <class T>
INLINE void measure(const Pack<T>& pack, const Tile<T>& tile, size_t position, T* into) {
    const T* reference = pack.references.data() + position * pack.width;
    if (pack.aggregate == Aggregate::kBinary) return measure_binary(pack, tile, reference, into);
    const bool is_plain = pack.is_plain && !tile.has_missing;
    if (is_plain) sum_squares(pack, tile, reference, into);
    else for (int i = 0; i < tile.lanes; ++i) into[i] = 0;
    T terms[kTile];
    for (size_t field = 0; field < (is_plain ? 0 : pack.width); ++field) {
        const T* values = tile.values + field * kTile;
        const T weight = pack.weight[field];
        compared(pack, tile, field, reference[field], terms);
        switch (pack.aggregate) {
            case Aggregate::kRootOfSquares:
            case Aggregate::kSquares:
                for (int i = 0; i < tile.lanes; ++i) terms[i] = weight * (terms[i] * terms[i]);
                break;
            case Aggregate::kPowers:
                for (int i = 0; i < tile.lanes; ++i) terms[i] = weight * std::pow(terms[i], pack.power);
                break;
            default:
                for (int i = 0; i < tile.lanes; ++i) terms[i] = weight * terms[i];
        }
        if (tile.has_missing) {
            for (int i = 0; i < tile.lanes; ++i) terms[i] = values[i] == values[i] ? terms[i] : T(0);
        }
        if (pack.aggregate == Aggregate::kMaximum) {
            for (int i = 0; i < tile.lanes; ++i) {
                into[i] = terms[i] > into[i] || terms[i] != terms[i] ? terms[i] : into[i];
            }
        } else {
            for (int i = 0; i < tile.lanes; ++i) into[i] += terms[i];
        }
    }
    if (tile.has_missing) {
        for (int i = 0; i < tile.lanes; ++i) into[i] *= tile.adjust[i];
    }
    if (pack.aggregate == Aggregate::kRootOfSquares) {
        for (int i = 0; i < tile.lanes; ++i) into[i] = std::sqrt(into[i]);
    } else if (pack.aggregate == Aggregate::kPowers) {
        for (int i = 0; i < tile.lanes; ++i) into[i] = std::pow(into[i], 1 / pack.power);
    }
}

// The best reference of each row, the first of equals; -1 where a measure is no number.
template <class T>
INLINE void best_of_tile(const Pack<T>& pack, const Tile<T>& tile, T* best, T* key) {
    const T sign = pack.largest ? -1 : 1;
    for (int i = 0; i < tile.lanes; ++i) {
        best[i] = 0;
        key[i] = std::numeric_limits<T>::infinity();
    }
    T broken[kTile] = {};
    T measures[kTile];
    for (size_t position = 0; position < pack.count; ++position) {
        measure(pack, tile, position, measures);
        const auto name = static_cast<T>(position);
        for (int i = 0; i < tile.lanes; ++i) {
            const T candidate = sign * measures[i];
            const bool better = candidate < key[i];
            best[i] = better ? name : best[i];
            key[i] = better ? candidate : key[i];
            broken[i] = candidate == candidate ? broken[i] : T(1);
        }
    }
    for (int i = 0; i < tile.lanes; ++i) {
        best[i] = broken[i] != 0 ? T(-1) : best[i];
        key[i] *= sign;
    }
}

// The `most` best references of each of some rows, best first and of equals the first first, beside their measures;
// -1 where a measure is no number.
template <class T>
INLINE void most_of_tile(const Pack<T>& pack, const Tile<T>& tile, int rows, size_t most, int32_t* names, T* keys) {
    const T sign = pack.largest ? -1 : 1;
    // The worst key that a row keeps; while it keeps too few no number, than which nothing is greater or equal.
    T bar[kTile];
    std::fill(bar, bar + rows, std::numeric_limits<T>::quiet_NaN());
    std::fill(bar + rows, bar + kTile, -std::numeric_limits<T>::infinity());
    size_t kept[kTile] = {};
    bool broken[kTile] = {};
    T measures[kTile];
    for (size_t position = 0; position < pack.count; ++position) {
        measure(pack, tile, position, measures);
        int hits = 0;
        for (int i = 0; i < tile.lanes; ++i) {
            measures[i] *= sign;
            hits |= !(measures[i] >= bar[i]);  // Also where the measure is no number.
        }
        for (int i = 0; hits && i < rows; ++i) {
            const T candidate = measures[i];
            broken[i] |= candidate != candidate;
            if (broken[i] || candidate >= bar[i]) continue;
            int32_t* row_names = names + i * most;
            T* row_keys = keys + i * most;
            size_t place = kept[i] < most ? kept[i]++ : most - 1;
            for (; place > 0 && candidate < row_keys[place - 1]; --place) {
                row_keys[place] = row_keys[place - 1];
                row_names[place] = row_names[place - 1];
            }
            row_keys[place] = candidate;
            row_names[place] = static_cast<int32_t>(position);
            if (kept[i] == most) bar[i] = row_keys[most - 1];
        }
    }
    for (int i = 0; i < rows; ++i) {
        if (broken[i]) std::fill(names + i * most, names + (i + 1) * most, -1);
        for (size_t place = i * most; place < (i + 1) * most; ++place) keys[place] *= sign;
    }
}

template <class T>
INLINE void all_of_tile(const Pack<T>& pack, const Tile<T>& tile, int rows, T* into) {
    T measures[kTile];
    for (size_t position = 0; position < pack.count; ++position) {
        measure(pack, tile, position, measures);
        for (int i = 0; i < rows; ++i) into[i * pack.count + position] = measures[i];
    }
}

// One function for each precision, because a template has no versions for processors.
WIDEST void best(const Pack<double>& pack, const Tile<double>& tile, double* best, double* key) {
    best_of_tile(pack, tile, best, key);
}
WIDEST void best(const Pack<float>& pack, const Tile<float>& tile, float* best, float* key) {
    best_of_tile(pack, tile, best, key);
}
WIDEST void most_near(const Pack<double>& pack, const Tile<double>& tile, int rows, size_t most, int32_t* names,
                    double* keys) {
    most_of_tile(pack, tile, rows, most, names, keys);
}
WIDEST void most_near(const Pack<float>& pack, const Tile<float>& tile, int rows, size_t most, int32_t* names,
                    float* keys) {
    most_of_tile(pack, tile, rows, most, names, keys);
}
WIDEST void all(const Pack<double>& pack, const Tile<double>& tile, int rows, double* into) {
    all_of_tile(pack, tile, rows, into);
}
WIDEST void all(const Pack<float>& pack, const Tile<float>& tile, int rows, float* into) {
    all_of_tile(pack, tile, rows, into);
}

// Copies rows of the columns into a tile; the last tile's rest repeats its last row.
template <class T>
class Reader {
public:
    Reader(const Pack<T>& pack, const std::vector<const double*>& columns)
        : pack_(pack), columns_(columns), values_(pack.width * kTile), adjust_(kTile) {}

    Tile<T> read(size_t start, int rows) {
        bool has_missing = false;
        for (size_t field = 0; field < pack_.width; ++field) {
            const double* from = columns_[field] + start;
            T* into = values_.data() + field * kTile;
            int missing = 0;
            for (int i = 0; i < rows; ++i) {
                into[i] = static_cast<T>(from[i]);
                missing += from[i] != from[i];
            }
            std::fill(into + rows, into + kTile, into[rows - 1]);
            has_missing |= missing > 0;
        }
        if (has_missing) weigh();
        return {(rows + kVector - 1) / kVector * kVector, values_.data(), has_missing, adjust_.data()};
    }

private:
    void weigh() {
        for (int i = 0; i < kTile; ++i) {
            T present = 0;
            for (size_t field = 0; field < pack_.width; ++field) {
                const T value = values_[field * kTile + i];
                if (value == value) present += pack_.missing_weight[field];
            }
            adjust_[i] = pack_.missing_total / present;  // Nothing present makes 0 * infinity, which is no number.
        }
    }

    const Pack<T>& pack_;
    const std::vector<const double*>& columns_;
    std::vector<T> values_, adjust_;
};

template <class T>
Pack<T> packed(Matrix<double> references, Vector<uint8_t> compare, Vector<double> weight, Vector<double> scale,
               Vector<double> missing_weight, const std::vector<Matrix<double>>& tables, Aggregate aggregate,
               double power, Vector<double> binary, bool largest) {
    Pack<T> pack{};
    pack.count = references.shape(0);
    pack.width = references.shape(1);
    pack.aggregate = aggregate;
    pack.largest = largest;
    pack.power = static_cast<T>(power);
    std::copy(binary.data(), binary.data() + 8, pack.binary);
    pack.references.assign(references.data(), references.data() + references.size());
    size_t cells = 0;
    for (const auto& table : tables) cells += table.size();
    pack.cells.reserve(cells);
    for (size_t field = 0; field < pack.width; ++field) {
        pack.compare.push_back(static_cast<Compare>(compare.data()[field]));
        const Matrix<double>& table = tables[field];
        pack.table.push_back({pack.cells.data() + pack.cells.size(), table.shape(0)});
        pack.cells.insert(pack.cells.end(), table.data(), table.data() + table.size());
    }
    pack.weight.assign(weight.data(), weight.data() + pack.width);
    pack.scale.assign(scale.data(), scale.data() + pack.width);
    pack.missing_weight.assign(missing_weight.data(), missing_weight.data() + pack.width);
    for (const T value : pack.missing_weight) pack.missing_total += value;
    pack.is_plain = (aggregate == Aggregate::kSquares || aggregate == Aggregate::kRootOfSquares) &&
                    std::all_of(pack.compare.begin(), pack.compare.end(),
                                [](Compare compare) { return compare == Compare::kDifference; });
    return pack;
}

using Columns = std::vector<Vector<double>>;

class References {
public:
    References(Matrix<double> references, Vector<uint8_t> compare, Vector<double> weight, Vector<double> scale,
               Vector<double> missing_weight, const std::vector<Matrix<double>>& tables, uint8_t aggregate,
               double power, Vector<double> binary, bool largest, bool single) {
        const size_t width = references.shape(1);
        if (compare.size() != width || weight.size() != width || scale.size() != width ||
            missing_weight.size() != width || tables.size() != width || binary.size() != 8) {
            throw std::invalid_argument("each coordinate has a comparison, weights, a scale and a table");
        }
        for (const auto& table : tables) {
            if (table.shape(0) != table.shape(1)) throw std::invalid_argument("a table is square");
        }
        for (size_t field = 0; field < width; ++field) {
            if (compare.data()[field] > static_cast<uint8_t>(Compare::kTable)) {
                throw std::invalid_argument("no such comparison");
            }
        }
        if (aggregate > static_cast<uint8_t>(Aggregate::kBinary)) throw std::invalid_argument("no such aggregate");
        const auto kind = static_cast<Aggregate>(aggregate);
        if (single) {
            packed_ = packed<float>(references, compare, weight, scale, missing_weight, tables, kind, power, binary,
                                    largest);
        } else {
            packed_ = packed<double>(references, compare, weight, scale, missing_weight, tables, kind, power, binary,
                                     largest);
        }
    }

    std::tuple<Result<int32_t>, nb::object> best_of(const Columns& columns) const {
        return std::visit([&](const auto& pack) { return best_in(pack, columns); }, packed_);
    }

    std::tuple<Result<int32_t>, nb::object> nearest(const Columns& columns, size_t most) const {
        return std::visit([&](const auto& pack) { return nearest_in(pack, columns, most); }, packed_);
    }

    nb::object measures(const Columns& columns) const {
        return std::visit([&](const auto& pack) { return measures_in(pack, columns); }, packed_);
    }

private:
    static std::tuple<std::vector<const double*>, size_t> pointers(const Columns& columns, size_t width) {
        if (columns.size() != width || columns.empty()) throw std::invalid_argument("a column per coordinate");
        std::vector<const double*> result;
        for (const auto& column : columns) {
            if (column.size() != columns[0].size()) throw std::invalid_argument("columns differ in their rows");
            result.push_back(column.data());
        }
        return {std::move(result), columns[0].size()};
    }

    // Calls `visit(tile, first row, number of rows)` for all tiles, without the interpreter's lock.
    template <class T, class Visit>
    static void for_tiles(const Pack<T>& pack, const std::vector<const double*>& columns, size_t rows, Visit visit) {
        nb::gil_scoped_release release;
        Reader<T> reader(pack, columns);
        for (size_t start = 0; start < rows; start += kTile) {
            const int here = static_cast<int>(std::min<size_t>(kTile, rows - start));
            visit(reader.read(start, here), start, here);
        }
    }

    template <class T>
    static std::tuple<Result<int32_t>, nb::object> best_in(const Pack<T>& pack, const Columns& columns) {
        const auto [data, rows] = pointers(columns, pack.width);
        std::vector<int32_t> names(rows);
        std::vector<T> keys(rows);
        for_tiles(pack, data, rows, [&](const Tile<T>& tile, size_t start, int here) {
            T name[kTile], key[kTile];
            best(pack, tile, name, key);
            for (int i = 0; i < here; ++i) names[start + i] = static_cast<int32_t>(name[i]);
            std::copy(key, key + here, keys.begin() + start);
        });
        return {to_numpy(std::move(names), rows), nb::cast(to_numpy(std::move(keys), rows))};
    }

    template <class T>
    static std::tuple<Result<int32_t>, nb::object> nearest_in(const Pack<T>& pack, const Columns& columns,
                                                              size_t most) {
        const auto [data, rows] = pointers(columns, pack.width);
        if (most == 0 || most > pack.count) throw std::invalid_argument("there are not that many references");
        std::vector<int32_t> names(rows * most);
        std::vector<T> keys(rows * most);
        for_tiles(pack, data, rows, [&](const Tile<T>& tile, size_t start, int here) {
            most_near(pack, tile, here, most, names.data() + start * most, keys.data() + start * most);
        });
        return {to_numpy(std::move(names), rows, most), nb::cast(to_numpy(std::move(keys), rows, most))};
    }

    template <class T>
    static nb::object measures_in(const Pack<T>& pack, const Columns& columns) {
        const auto [data, rows] = pointers(columns, pack.width);
        std::vector<T> table(rows * pack.count);
        for_tiles(pack, data, rows, [&](const Tile<T>& tile, size_t start, int here) {
            all(pack, tile, here, table.data() + start * pack.count);
        });
        return nb::cast(to_numpy(std::move(table), rows, pack.count));
    }

    std::variant<Pack<double>, Pack<float>> packed_;
};

}  // namespace

void register_distances(nb::module_& module) {
    nb::class_<References>(module, "References",
                           "Points that rows are compared with; any number of threads may use them at once.")
        .def(nb::init<Matrix<double>, Vector<uint8_t>, Vector<double>, Vector<double>, Vector<double>,
                      const std::vector<Matrix<double>>&, uint8_t, double, Vector<double>, bool, bool>(),
             nb::kw_only(), nb::arg("references"), nb::arg("compare"), nb::arg("weight"), nb::arg("scale"),
             nb::arg("missing_weight"), nb::arg("tables"), nb::arg("aggregate"), nb::arg("power"), nb::arg("binary"),
             nb::arg("largest"), nb::arg("single"))
        .def("best", &References::best_of, nb::arg("columns"))
        .def("nearest", &References::nearest, nb::arg("columns"), nb::arg("most"))
        .def("measures", &References::measures, nb::arg("columns"));
}
