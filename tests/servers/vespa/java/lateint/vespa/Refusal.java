package lateint.vespa;

/** What the config server answers instead, with its error code. */
final class Refusal extends Exception {

    final int status;
    final String code;

    private Refusal(int status, String code, String message) {
        super(message);
        this.status = status;
        this.code = code;
    }

    static Refusal notFound(String message) {
        return new Refusal(404, "NOT_FOUND", message);
    }

    static Refusal badRequest(String message) {
        return new Refusal(400, "BAD_REQUEST", message);
    }

    static Refusal invalidPackage(String message) {
        return new Refusal(400, "INVALID_APPLICATION_PACKAGE", message);
    }

    static Refusal conflict(String message) {
        return new Refusal(409, "ACTIVATION_CONFLICT", message);
    }
}
