"""The words of the start page."""

WORDS = {
    "start.title": ("Batalkan pesanan, uang kembali", "Cancel the order, get the money back"),
    "start.lead": (
        "Empat cara membatalkan pesanan, seperti dijalani pembeli, penjual dan petugas layanan pelanggan. "
        "Uangnya selalu kembali penuh, satu kali.",
        "Four ways to cancel an order, as a buyer, a seller and a customer-service agent see them. "
        "The money always comes back in full, once.",
    ),
    "start.try": ("Mulai mencoba", "Try it"),
    "start.try.lead": (
        "Satu klik untuk setiap peran. Ketiganya boleh masuk bersamaan, masing-masing di tab sendiri.",
        "One click for each role. All three may be signed in at once, each in a tab of its own.",
    ),
    "start.buyer": ("Pesan, batalkan, lihat uangnya kembali.", "Order, cancel, and see the money come back."),
    "start.seller": ("Kemas, kirim, jawab pembeli, jaga skor.", "Pack, ship, answer buyers, keep the score."),
    "start.agent": ("Layani antrean, hubungi penjual yang diam.", "Serve the queue, ask silent sellers."),
    "start.two": ("Dua peran berdampingan", "Two roles side by side"),
    "start.two.lead": (
        "Pembeli dan penjual dalam satu jendela: yang satu menulis, yang lain membaca.",
        "Buyer and seller in one window: one writes, the other reads.",
    ),
    "start.ways": ("Empat cara", "The four ways"),
    "start.way1": ("Lewat aplikasi", "In the app"),
    "start.way1.text": (
        "Di layar selebar ponsel: Akun → pesanan → Batalkan pesanan. Alasan boleh dilewati. "
        "Paling lama 1 × 24 jam setelah memesan dan sebelum dikirim.",
        "On a screen as wide as a phone's: Account → order → Cancel order. The reason may be skipped. "
        "At most 1 × 24 hours after ordering, and before it ships.",
    ),
    "start.way2": ("Lewat situs web", "On the website"),
    "start.way2.text": (
        "Sama, dari komputer dengan akun yang sama, juga saat ponsel mati.",
        "The same, from a computer with the same account, also when the phone is off.",
    ),
    "start.way3": ("Chat Seller", "Chat with the seller"),
    "start.way3.text": (
        "Tulis ke penjual. Penjual mengirim panduan, atau membatalkan sendiri: lalu skornya turun.",
        "Write to the seller, who sends a guide, or cancels itself: then its score falls.",
    ),
    "start.way4": ("Live Chat di Bantuan", "Live Chat in Help"),
    "start.way4.text": (
        "Penjual diam? Petugas menghubunginya. Tanpa jawaban dalam 24 jam, pesanan dibatalkan otomatis.",
        "The seller is silent? An agent asks them. No answer in 24 hours: the order is cancelled automatically.",
    ),
    "start.not_real": (
        "Demo; tidak berhubungan dengan perusahaan Lazada atau DANA. Pembayaran hanya disimulasikan.",
        "A demo; it has nothing to do with Lazada or DANA, the companies. Payments are simulated.",
    ),
    "two.left": ("Kiri", "Left"),
    "two.right": ("Kanan", "Right"),
    "two.show": ("Tampilkan", "Show"),
}
