package lateint.vespa;

import com.yahoo.tensor.MixedTensor;
import com.yahoo.tensor.Tensor;
import com.yahoo.tensor.TensorType;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The expressions that the C++ engine replaces by a loop of its own, and that loop, in double precision.
 *
 * They are recognized in Vespa's canonical text of what was deployed, whole; anything else is left to Vespa's evaluator,
 * which builds the full product of query rows, document rows and dimensions and needs a tenth of a second per document.
 */
record MaxSim(String query, String attribute, String queryDimension, boolean unpack, boolean hamming, boolean summed) {

    /** As config-model writes unpack_bits(attribute). */
    private static final String UNPACKED =
            "map_subspaces\\((?<bits>attribute\\(\\w+\\)), f\\((?<arg>\\w+)\\)\\(tensor<float>\\((?<v>\\w+)\\[\\d+\\]\\)"
            + "\\(\\(bit\\(\\k<arg>\\{\\k<v>:\\(\\k<v> / 8\\)\\},7 - \\(\\k<v> % 8\\){6}";
    private static final String DOCUMENT =
            "(?:cell_cast\\((?<cast>attribute\\(\\w+\\)), ?float\\)|" + UNPACKED + "|(?<plain>attribute\\(\\w+\\)))";
    private static final String DOTS = "reduce\\((?<q>query\\(\\w+\\)) \\* " + DOCUMENT + ", sum, \\w+\\)";
    private static final String INVERSE_HAMMING =
            "1 / \\(1 \\+ reduce\\(hamming\\((?<hq>query\\(\\w+\\)), ?(?<hd>attribute\\(\\w+\\))\\), sum, \\w+\\)\\)";
    private static final Pattern PATTERN = Pattern.compile(
            "(?<sum>reduce\\()?reduce\\((?:" + DOTS + "|" + INVERSE_HAMMING + "), max, \\w+\\)(?:, sum, (?<dim>\\w+)\\))?");

    /** Returns null if the expression is something else. */
    static MaxSim of(String canonicalExpression) {
        Matcher m = PATTERN.matcher(canonicalExpression);
        if (!m.matches() || (m.group("sum") == null) != (m.group("dim") == null)) return null;
        boolean hamming = m.group("hq") != null;
        String attribute = hamming ? m.group("hd")
                         : m.group("cast") != null ? m.group("cast")
                         : m.group("bits") != null ? m.group("bits") : m.group("plain");
        return new MaxSim(hamming ? m.group("hq") : m.group("q"), attribute, m.group("dim"), m.group("bits") != null,
                          hamming, m.group("sum") != null);
    }

    /** The score, or the best similarity of each query row if the expression does not sum. No rows: 0, or none. */
    Tensor evaluate(Tensor queryTensor, Tensor documentTensor) {
        List<MixedTensor.DenseSubspace> queryRows = rows(queryTensor);
        List<double[]> documentRows = rows(documentTensor).stream().map(s -> unpack ? bits(s.cells) : s.cells).toList();
        Tensor.Builder perRow = summed ? null : Tensor.Builder.of(perRowType(queryTensor));
        double sum = 0;
        for (var row : queryRows) {
            if (documentRows.isEmpty()) break;
            double max = Double.NEGATIVE_INFINITY;
            for (double[] token : documentRows)
                max = Math.max(max, hamming ? 1 / (1 + distance(row.cells, token)) : dot(row.cells, token));
            sum += max;
            if (perRow != null) perRow.cell(row.sparseAddress, max);
        }
        return summed ? Tensor.from(sum) : perRow.build();
    }

    private static TensorType perRowType(Tensor query) {
        String mapped = query.type().dimensions().stream().filter(d -> !d.isIndexed()).findFirst().orElseThrow().name();
        return new TensorType.Builder(TensorType.Value.FLOAT).mapped(mapped).build();
    }

    private static List<MixedTensor.DenseSubspace> rows(Tensor tensor) {
        return tensor instanceof MixedTensor mixed ? mixed.getInternalDenseSubspaces() : List.of();
    }

    private static double dot(double[] a, double[] b) {
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;                      // four sums: three times as fast as one
        int i = 0;
        for (; i + 3 < a.length; i += 4) {
            s0 += a[i] * b[i];
            s1 += a[i + 1] * b[i + 1];
            s2 += a[i + 2] * b[i + 2];
            s3 += a[i + 3] * b[i + 3];
        }
        for (; i < a.length; i++) s0 += a[i] * b[i];
        return s0 + s1 + s2 + s3;
    }

    /** Bits that differ, of cells that are int8. */
    static double distance(double[] a, double[] b) {
        int bits = 0;
        for (int i = 0; i < a.length; i++) bits += Integer.bitCount(((int) a[i] ^ (int) b[i]) & 0xff);
        return bits;
    }

    /** int8 to 0 and 1, most significant bit first, as unpack_bits does. */
    private static double[] bits(double[] bytes) {
        double[] bits = new double[bytes.length * 8];
        for (int i = 0; i < bits.length; i++) bits[i] = ((int) bytes[i / 8] >> (7 - i % 8)) & 1;
        return bits;
    }
}
