// Writes the two declarations of this folder: node testdata/messages/generate.mjs
//
// Their structure follows the import messages of AIS and the export messages of AES, in namespaces of our own. Companies,
// persons, numbers and goods are invented; each NIP in them has a wrong check digit, so that it is nobody's. They are built to be
// hard to sign: attribute values to normalise, character references, CDATA, comments and instructions in and around the root,
// namespaces declared twice, undeclared, unused, and bound to other prefixes further down, Polish letters in every place.

import { writeFileSync } from 'node:fs';

const here = (name) => new URL(name, import.meta.url);

const goods = [
  ['8471300000', 'Komputery przenośne o masie nie większej niż 10 kg, z klawiaturą i wyświetlaczem', 'CN', 'laptopy „Żuraw 14”', 240, 1130.4, 187500],
  ['8517130000', 'Smartfony z podwójnym gniazdem kart, w kolorze łososiowym', 'VN', 'smartfony', 1200, 410.25, 263480.5],
  ['9403609090', 'Pozostałe meble drewniane: półki dębowe, lakierowane', 'UA', 'półki', 96, 2304, 18912],
  ['6403999600', 'Obuwie na podeszwach z gumy, z cholewkami ze skóry wyprawionej, męskie', 'IN', 'półbuty', 850, 969, 31024.75],
  ['0901210000', 'Kawa palona, niepozbawiona kofeiny, ziarnista', 'BR', 'kawa', 1800, 1800, 21240],
  ['8708299090', 'Części nadwozi pojazdów: błotniki tłoczone, niemalowane', 'TR', 'błotniki', 320, 1472, 28160],
  ['3926909790', 'Artykuły z tworzyw sztucznych: uchwyty, zatyczki, gałki', 'CN', 'drobnica z tworzyw', 15000, 640.5, 9600],
  ['9018908490', 'Przyrządy medyczne: ciśnieniomierze naramienne z mankietem', 'CH', 'ciśnieniomierze', 400, 212, 38800],
  ['2204219600', 'Wino czerwone w butelkach 0,75 l, wytrawne', 'GE', 'wino „Świt”', 1440, 1814.4, 14976],
  ['8536508099', 'Przełączniki na napięcie nieprzekraczające 1000 V', 'JP', 'przełączniki', 5200, 364, 47320],
  ['4202929100', 'Torby podróżne z materiałów włókienniczych', 'BD', 'torby', 700, 735, 12950],
  ['9503007500', 'Zabawki z tworzyw sztucznych, z silnikiem: kolejki „Ciuchcia”', 'CN', 'zabawki', 960, 1056, 20064],
  ['7323930090', 'Naczynia ze stali nierdzewnej: garnki, rondle, durszlaki', 'IN', 'garnki', 1100, 2310, 26400],
  ['8481808190', 'Zawory kulowe mosiężne z dźwignią', 'TW', 'zawory', 2500, 1375, 33750],
];

const money = (n) => n.toFixed(2);
const mass = (n) => n.toFixed(3);

function item([cn, description, country, commercial, pieces, kg, value], i) {
  const n = i + 1;
  const duty = value * 4.31 * 0.037;
  // The prefixes g and d swap their meaning in every second item.
  const [g, d] = i % 2 ? ['d', 'g'] : ['g', 'd'];
  return `
      <${g}:GoodsItem xmlns:${g}="http://customs.example/xsd/ais/goods/2" xmlns:${d}="http://customs.example/xsd/dictionary"
                   ${d}:list="CL${String(213 + i)}"   declarationGoodsItemNumber='${n}'	${g}:uid="poz.&#x20;${n}&#9;z&#xA0;${goods.length}"
                   note="  pierwszy wiersz
	drugi wiersz,	z tabulatorem  ">
        <${g}:Procedure requestedProcedure="40" previousProcedure="00"><${d}:additional>C${String(10 + i).padStart(2, '0')}</${d}:additional></${g}:Procedure>
        <${g}:Commodity>
          <${g}:descriptionOfGoods xml:lang="pl">${description}</${g}:descriptionOfGoods>
          <${g}:commercialName>${i % 3 === 0 ? `<![CDATA[${commercial} <partia & seria: ${1000 + 37 * i}>]]>` : `${commercial} &lt;partia &amp; seria: ${1000 + 37 * i}&gt;`}</${g}:commercialName>
          <${g}:CommodityCode combinedNomenclatureCode="${cn.slice(0, 8)}" taricCode="${cn.slice(8)}"/>
          <${g}:GoodsMeasure><grossMass xmlns="">${mass(kg * 1.08)}</grossMass><netMass xmlns="">${mass(kg)}</netMass><supplementaryUnits xmlns="">${pieces}</supplementaryUnits></${g}:GoodsMeasure>
        </${g}:Commodity>
        <${g}:Origin countryOfOrigin="${country}"></${g}:Origin>
        <${g}:Packaging typeOfPackages="CT" numberOfPackages="${Math.ceil(pieces / 12)}" shippingMarks='ŻÓŁW "${n}" &#39;A&#x27;&#13;&#10;górą do góry'/>
        <!-- wartość pozycji ${n} w walucie faktury -->
        <${g}:InvoiceAmount currency="EUR">${money(value)}</${g}:InvoiceAmount>
        <${g}:DutiesAndTaxes>
          <${d}:taxType>A00</${d}:taxType><${g}:payableTaxAmount>${money(duty)}</${g}:payableTaxAmount>
          <${d}:taxType>B00</${d}:taxType><${g}:payableTaxAmount>${money((value * 4.31 + duty) * 0.23)}</${g}:payableTaxAmount>
        </${g}:DutiesAndTaxes>
      </${g}:GoodsItem>`;
}

const importDeclaration = `<?xml version="1.0" encoding="UTF-8"?>
<!-- Zgłoszenie celne przywozowe; dane zmyślone -->
<?xml-stylesheet   type="text/xsl" href="zgloszenie.xsl"?>
<ns1:ZC415HUB xmlns:ns1="http://customs.example/xsd/ais/hub/ZC415HUB.xsd" xmlns:ns="http://www.w3.org/2000/09/xmldsig#"
    xmlns:b="http://customs.example/xsd/a-sorts-first" xmlns:a="http://customs.example/xsd/b-sorts-second" xmlns:unused="urn:example:unused"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://customs.example/xsd/ais/hub/ZC415HUB.xsd
        ZC415HUB.xsd"
    a:second="2" b:first="1" xml:lang="pl" version="2.0">
  <ns1:preparationDateAndTime>2026-11-20T08:15:30+01:00</ns1:preparationDateAndTime>
  <ns1:messageIdentification>ZGŁ-2026-000417</ns1:messageIdentification>
  <ns1:Declaration sequenceNumber="1">
    <ns1:lrn>PL26AIS000000417ŁÓDŹ</ns1:lrn>
    <ns1:declarationType>IM</ns1:declarationType><ns1:additionalDeclarationType>A</ns1:additionalDeclarationType>
    <ns1:Importer>
      <ns1:identificationNumber>PL106014223700000</ns1:identificationNumber>
      <ns1:name>Zażółć Gęślą &amp; Jaźń Sp. z o.o.</ns1:name>
      <ns1:Address street="ul. Źródlana 7&#47;9" city="Świętochłowice"	postcode="41-600" country="PL"/>
    </ns1:Importer>
    <ns1:Declarant>
      <ns1:identificationNumber>PL527300114400000</ns1:identificationNumber>
      <ns1:name>Agencja Celna „Bławatek” Łukasz Śmiałek</ns1:name>
      <ns1:ContactPerson name="Grażyna Ćwiąkalska-Żądło" phoneNumber="+48&#32;00&#32;000&#32;00&#32;00" eMailAddress="grazyna@agencja.example"/>
    </ns1:Declarant>
    <ns1:Representative><ns1:identificationNumber>PL527300114400000</ns1:identificationNumber><ns1:status>2</ns1:status></ns1:Representative>
    <ns1:CustomsOfficeOfDeclaration referenceNumber="PL443020"/>
    <ns1:DeferredPayment xsi:nil="true"/>
    <ns1:remarks xml:space="preserve">  Uwaga: kontrahent prosi o odprawę
	przed godziną 12:00 — „pilne”.  Znaki: &#260;&#x106;&#x118;&#x141; &#x1F69A; &#13;koniec  </ns1:remarks>
    <ns1:Script><![CDATA[if (masa < 100 && sztuk > 3) { zapytaj("ciąg dalszy?"); } ]]]]><![CDATA[>]]></ns1:Script>
    <ns1:GoodsShipment>
      <ns1:Consignment containerIndicator="1" inlandModeOfTransport="3" modeOfTransportAtTheBorder="1">
        <ns1:ArrivalTransportMeans typeOfIdentification="10" identificationNumber="MV ŻEGLARZ"/>
        <ns1:TransportEquipment sequenceNumber="1"><ns1:containerIdentificationNumber>XXXU0000417</ns1:containerIdentificationNumber></ns1:TransportEquipment>
        <ns1:LocationOfGoods typeOfLocation="B" qualifierOfIdentification="Y" authorisationNumber="PLCWP0000000000417"/>
      </ns1:Consignment>
      <ns1:DeliveryTerms incotermCode="CIF" location="Gdańsk, nabrzeże Węglowe"/>
      <ns1:SupportingDocument sequenceNumber="1" type="N380" referenceNumber="FV/2026/11/ŚĆ-0093"/>
      <ns1:SupportingDocument sequenceNumber="2" type="N705" referenceNumber="BL-ŻEG-55021"/>${goods.map(item).join('')}
      <!--- podwójny komentarz - z myślnikami - i <znacznikiem> -->
    </ns1:GoodsShipment>
  </ns1:Declaration>
</ns1:ZC415HUB>
<!-- koniec zgłoszenia -->
`;

const exportItem = ([cn, description, , , pieces, kg, value], i) => `
    <GoodsItem>
      <declarationGoodsItemNumber>${i + 1}</declarationGoodsItemNumber>
      <statisticalValue currency='PLN'>${money(value * 4.31)}</statisticalValue>
      <Commodity descriptionOfGoods="${description.replaceAll('"', '&quot;')},
          sztuk:	${pieces}">
        <CommodityCode><harmonizedSystemSubHeadingCode>${cn.slice(0, 6)}</harmonizedSystemSubHeadingCode><combinedNomenclatureCode>${cn.slice(6, 8)}</combinedNomenclatureCode></CommodityCode>
        <GoodsMeasure><grossMass>${mass(kg * 1.08)}</grossMass><netMass>${mass(kg)}</netMass></GoodsMeasure>
      </Commodity>
      <Packaging><typeOfPackages>PX</typeOfPackages><numberOfPackages>${Math.ceil(pieces / 48)}</numberOfPackages><shippingMarks>nr ${i + 1}; ładować ostrożnie</shippingMarks></Packaging>
    </GoodsItem>`;

// The export declaration has the line ends of a Windows program; in a value, a carriage return of its own is a reference.
const exportDeclaration = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<CC515C xmlns="http://customs.example/xsd/aes/CC515C.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" PhaseID="AES-P1"
        xsi:schemaLocation="http://customs.example/xsd/aes/CC515C.xsd CC515C.xsd">
  <messageSender>PL527300114400000</messageSender>
  <messageRecipient>AES.PL</messageRecipient>
  <preparationDateAndTime>2026-11-20T09:40:00</preparationDateAndTime>
  <messageIdentification>AES-WYWÓZ-000093</messageIdentification>
  <messageType>CC515C</messageType>
  <ExportOperation><LRN>PL26AES000000093</LRN><declarationType>EX</declarationType><additionalDeclarationType>A</additionalDeclarationType></ExportOperation>
  <CustomsOfficeOfExport><referenceNumber>PL443020</referenceNumber></CustomsOfficeOfExport>
  <Exporter><identificationNumber>PL730011940200000</identificationNumber><name>Wytwórnia Łożysk „Śruba” S.A.</name></Exporter>
  <note>Odbiór w dwóch turach:&#13;
1) Kołobrzeg, 2) Świnoujście.</note>
  <GoodsShipment>${[...goods, ...goods].map(exportItem).join('')}
  </GoodsShipment>
</CC515C>
`.replaceAll('\n', '\r\n');

/** NIP: the last digit is the weighted sum of the others modulo 11. */
function someonesNIP(nip) {
  const sum = [6, 5, 7, 2, 3, 4, 5, 6, 7].reduce((s, w, i) => s + w * Number(nip[i]), 0);
  return sum % 11 === Number(nip[9]);
}

for (const [name, text] of Object.entries({ 'import-declaration.xml': importDeclaration, 'export-declaration.xml': exportDeclaration })) {
  for (const [, nip] of text.matchAll(/PL(\d{10})00000/g)) if (someonesNIP(nip)) throw new Error(`${nip} may be somebody's NIP`);
  if (Buffer.byteLength(text) < 20_000) throw new Error(`${name} has only ${Buffer.byteLength(text)} octets`);
  writeFileSync(here(name), text);
}
